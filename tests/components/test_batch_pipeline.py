"""pipelines/batch_answer.py by a batch prediction job, run by the pipeline service."""

import json
import os
import subprocess
import sys
from pathlib import Path

from kfp import compiler

from doctune.knowledge import build_index
from pipelines.batch_answer import batch_answer
from tests.components.conftest import CLOUD
from tests.dataset.corpora import write_corpus
from tests.knowledge.conftest import warranty
from tests.serving.tiny_model import write_tiny_model

PROGRAM = Path(__file__).parent / "programs/batch_by_prediction_job.py"


def test_questions_are_answered_by_a_batch_prediction_job_with_sources(
    tmp_path: Path, local_vertex: dict[str, str]
) -> None:
    write_corpus(tmp_path / "documents", warranty())
    build_index(tmp_path / "documents", tmp_path / "index")
    # Passages have some thousand of its tokens, which are single letters.
    write_tiny_model(tmp_path / "model", context=8192)
    rows = [{"id": "a", "question": "How long is the motor covered?"}, {"id": "b"}]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    compiler.Compiler().compile(batch_answer, str(tmp_path / "batch.yaml"))

    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path), json.dumps(CLOUD)],
        env={**os.environ, **local_vertex},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["jobs"] == ["JOB_STATE_SUCCEEDED"]
    assert found["instances"] == 1
    (answer,) = found["answers"]
    assert answer["id"] == "a"
    assert answer["answer"]
    (failed,) = found["failures"]
    assert (failed["id"], failed["error"]) == ("b", "no text in question or prompt")
