"""A step's digest changes with the code it can reach, and with no other."""

from pathlib import Path

import pytest

from doctune.runner import source_digest as module
from doctune.runner.source_digest import source_digest

COMMAND = ["sh", "-c", 'python3 "$0" "$@"', "def step():\n    from doctune.reading import read\n"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "doctune"
    for name, text in {
        "__init__.py": "",
        "errors.py": "class E(Exception): ...",
        "reading/__init__.py": "def __getattr__(name): ...",
        "reading/reader.py": "def read():\n    from doctune.shared import help_it",
        "reading/report.html": "<p>",
        "shared.py": "from . import errors",
        "writing/__init__.py": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(module, "_ROOT", root)
    return root


@pytest.mark.parametrize(
    "changed",
    ["reading/__init__.py", "reading/reader.py", "reading/report.html", "shared.py", "errors.py"],
)
def test_a_changed_line_that_the_step_can_reach_is_noticed(package: Path, changed: str) -> None:
    before = source_digest(COMMAND)
    with (package / changed).open("a") as file:
        file.write("\n# changed")
    module._modules_of.cache_clear()

    assert source_digest(COMMAND) != before


def test_a_change_elsewhere_is_not(package: Path) -> None:
    before = source_digest(COMMAND)
    (package / "writing/__init__.py").write_text("changed = True")

    assert source_digest(COMMAND) == before


def test_each_stage_of_doctune_has_a_digest_of_its_own() -> None:
    stages = ("documents", "dataset", "training", "evaluation", "vertex")

    digests = {source_digest([f"from doctune.{stage} import something"]) for stage in stages}

    assert len(digests) == len(stages)
