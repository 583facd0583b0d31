"""A workspace of its own for the main job: configuration, a part of the sample corpus, the spec."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PDFS = (
    "faq.pdf",
    "glossary.pdf",
    "warranty-and-returns.pdf",
    "partner-margins-locked.pdf",
    "yield-log-damaged.pdf",
)


@dataclass(frozen=True)
class Workspace:
    """A folder in which a user works."""

    folder: Path

    def doctune(
        self, *arguments: str, check: bool = True, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs the `doctune` command here."""
        done = subprocess.run(
            [sys.executable, "-m", "doctune", *arguments],
            cwd=self.folder,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    @property
    def last_run(self) -> dict[str, Any]:
        return json.loads((self.folder / ".doctune/last_run.json").read_text())


def copy_project(
    folder: Path, compiled: Path, base: Path, pdfs: str, **changes: Mapping[str, Any]
) -> Workspace:
    """Makes a workspace whose pipelines tune a tiny model in one epoch.

    Args:
        base: The model that is tuned.
        changes: Sections of config.yaml, whose keys go before those that are there.
    """
    shutil.copytree(compiled, folder / "dist")
    shutil.copytree(ROOT / "config", folder / "config")
    shutil.rmtree(folder / "config/environments/laptop")  # submitted runs know it not
    path = folder / "config/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["pdfs"] = pdfs
    config["training"] = {
        "base_model": str(base),
        "learning_rate": 0.01,
        "num_train_epochs": 1,
        "lora_r": 4,
        "warmup_ratio": 0.0,
    }
    config["evaluation"] |= {
        "max_new_tokens": 4,
        "min_examples": 3,
        "first_release": "better",
        "slice_regressions": "report",
    }
    # Tiny models are judged sooner by one engine than by two.
    vertex = folder / "config/vertex_config.yaml"
    vertex.write_text(
        vertex.read_text().replace('  engine: ""', "  engine: native", 1), encoding="utf-8"
    )
    for section, values in changes.items():
        config[section] = {**config.get(section, {}), **values}
    path.write_text(yaml.safe_dump(config))
    return Workspace(folder)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "compile.py", "--out", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=300,
    )
    return out


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, compiled: Path) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(compiled, folder / "dist")
    (folder / "pdfs").mkdir()
    for name in PDFS:
        shutil.copy(ROOT / "samples/pdfs" / name, folder / "pdfs" / name)
    shutil.copytree(ROOT / "config", folder / "config")
    (folder / "samples").mkdir()
    shutil.copy(ROOT / "samples/questions.jsonl", folder / "samples/questions.jsonl")
    path = folder / "config/environments/laptop/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["pdfs"] = "pdfs"
    # Enough to be better than the base model, and no more: the tests share two cores.
    config["dataset"] |= {"max_examples": 80}
    config["training"] |= {"max_steps": 8, "per_device_train_batch_size": 4}
    config["evaluation"] |= {"max_new_tokens": 16, "max_examples": 6, "max_questions": 5}
    config["evaluation"] |= {"general_prompts": False}
    path.write_text(yaml.safe_dump(config))
    made = Workspace(folder)
    yield made
    made.doctune("local", "down", check=False)
