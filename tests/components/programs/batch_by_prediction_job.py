"""Registers a model, runs pipelines/batch_answer.py in the pipeline service, prints its end.

batch_by_prediction_job.py FOLDER CLOUD
"""

import json
import sys
from pathlib import Path
from typing import Any

from google.cloud import aiplatform, storage

from doctune.vertex import init_session, register_model, upload_folder

folder, cloud = Path(sys.argv[1]), json.loads(sys.argv[2])
init_session(*cloud.values())
bucket = cloud["staging_bucket"]
register_model(folder / "model", model_name="batch", serving_image="example.com/serving:0123abc")
for name in ("index", "asked"):
    (folder / "asked").mkdir(exist_ok=True)
    (folder / "asked/questions.jsonl").write_bytes((folder / "questions.jsonl").read_bytes())
    upload_folder(folder / name, f"{bucket}/{name}")
job = aiplatform.PipelineJob(
    display_name="batch",
    template_path=str(folder / "batch.yaml"),
    pipeline_root=f"{bucket}/root",
    parameter_values={
        **cloud,
        "questions": f"{bucket}/asked/questions.jsonl",
        "index": f"{bucket}/index",
        "model_name": "batch",
        "version": "1",
        "train_set": f"{bucket}/asked/questions.jsonl",
        "max_new_tokens": 8,
        "prediction_job": True,
    },
    enable_caching=False,
)
try:
    job.run()
except RuntimeError as error:
    why = [str(one.to_dict().get("error")) for one in aiplatform.BatchPredictionJob.list()]
    sys.exit(f"{error}\n{why}")
tasks = {task.task_name: task for task in job.task_details}


def rows(task: str, output: str) -> list[dict[str, Any]]:
    (artifact,) = tasks[task].outputs[output].artifacts
    text = storage.Blob.from_string(artifact.uri, storage.Client()).download_as_text()
    return [json.loads(line) for line in text.splitlines()]


found = {
    "jobs": [one.state.name for one in aiplatform.BatchPredictionJob.list()],
    "instances": len(rows("prepare-batch", "instances")),
    "answers": rows("collect-batch", "answers"),
    "failures": rows("collect-batch", "failures"),
}
sys.stdout.write(json.dumps(found) + "\n")
