"""The `doctune` command: its verbs, exit codes and error lines."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evaluation.tiny_models import write_model

ROOT = Path(__file__).parents[1]


def doctune(
    *arguments: str, cwd: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "doctune", *arguments],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_help_answers_without_loading_a_model_library() -> None:
    heavy = ("torch", "transformers", "kfp", "google.cloud.aiplatform", "pyarrow")
    code = f"import sys, doctune.cli; print([m for m in {heavy} if m in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )

    assert done.stdout.strip() == "[]"
    assert "ask" in doctune("--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [("run",), ("ask",), ("doctor",), ("parse",), ("local", "exec"), ("config", "show")],
)
def test_each_verb_has_a_help_text(arguments: tuple[str, ...]) -> None:
    assert "Usage" in doctune(*arguments, "--help").stdout


def test_a_wrong_setting_is_one_line_and_exit_code_2() -> None:
    done = doctune("config", "validate", DOCTUNE_TRAINING__LORA_R="0")

    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "DOCTUNE_TRAINING__LORA_R" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_stack() -> None:
    done = doctune("--debug", "config", "validate", DOCTUNE_TRAINING__LORA_R="0")

    assert "Traceback" in done.stderr


def test_show_prints_the_settings_in_force_but_no_secret() -> None:
    variables = {"DOCTUNE_MODEL_NAME": "mine", "DOCTUNE_DOCUMENTS__PASSWORD": "open sesame"}

    done = doctune("config", "show", **variables)

    assert json.loads(done.stdout)["config"]["model_name"] == "mine"
    assert "open sesame" not in done.stdout


def test_the_reference_of_the_settings_is_the_page_in_docs() -> None:
    assert doctune("config", "reference").stdout == (ROOT / "docs/configuration.md").read_text()


def test_doctor_names_what_is_missing_and_how_to_fix_it(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")

    done = doctune("doctor", cwd=tmp_path, COLUMNS="200")

    assert done.returncode == 1
    (line,) = (line for line in done.stdout.splitlines() if "compiled pipeline" in line)
    assert line.startswith("MISSING")
    assert "python compile.py" in line


def test_parse_reads_what_it_can_and_names_what_it_cannot(tmp_path: Path) -> None:
    done = doctune(
        "parse",
        str(ROOT / "samples/pdfs/faq.pdf"),
        str(ROOT / "samples/pdfs/yield-log-damaged.pdf"),
        "--out",
        str(tmp_path / "out"),
        cwd=tmp_path,
    )

    assert done.returncode == 1
    assert "yield-log-damaged.pdf" in done.stderr
    assert "# " in (tmp_path / "out/faq.md").read_text()


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("--markdown", ["glossary.md", "sub/faq.md"]),
        ("--json", ["glossary.json", "sub/faq.json"]),
        ("--parquet", ["blocks.parquet", "documents.parquet", "report.html"]),
    ],
)
def test_parse_takes_files_and_folders_in_each_form(
    tmp_path: Path, form: str, written: list[str]
) -> None:
    folder = tmp_path / "pdfs" / "sub"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "samples/pdfs/faq.pdf", folder)
    file = ROOT / "samples/pdfs/glossary.pdf"

    done = doctune("parse", "pdfs", str(file), "--out", "out", form, cwd=tmp_path)

    assert done.returncode == 0
    out = tmp_path / "out"
    found = [path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()]
    assert sorted(found) == written


def test_parse_takes_one_form_at_a_time(tmp_path: Path) -> None:
    done = doctune("parse", ".", "--out", "x", "--json", "--parquet", cwd=tmp_path)

    assert done.returncode == 2
    assert "choose one" in done.stderr


def test_train_tunes_with_the_settings_in_force(tmp_path: Path) -> None:
    example = {
        "messages": [
            {"role": "user", "content": "what opens the valve?"},
            {"role": "assistant", "content": "the pump"},
        ]
    }
    (tmp_path / "examples.jsonl").write_text((json.dumps(example) + "\n") * 4)
    base = write_model(tmp_path / "base", seed=0)

    done = doctune(
        "train",
        *("--train", str(tmp_path / "examples.jsonl")),
        *("--validation", str(tmp_path / "examples.jsonl")),
        *("--model-dir", str(tmp_path / "model")),
        DOCTUNE_TRAINING__BASE_MODEL=str(base),
        DOCTUNE_TRAINING__MAX_STEPS="1",
    )

    assert json.loads(done.stdout)["steps"] == 1
    assert (tmp_path / "model/training.json").is_file()


def test_exec_without_a_command_says_how(tmp_path: Path) -> None:
    done = doctune("local", "exec")

    assert done.returncode == 2
    assert "doctune local exec -- python" in done.stderr


def test_a_run_without_a_compiled_pipeline_says_how_to_make_one(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")

    done = doctune("run", "--pdfs", str(ROOT / "samples/pdfs"), cwd=tmp_path)

    assert done.returncode == 2
    assert "python compile.py" in done.stderr
