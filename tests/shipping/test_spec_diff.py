"""What a reviewer reads of a change of the compiled specs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cloudbuild.spec_diff import diff_folders, diff_specs, main, read_facts
from doctune.errors import UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("specs")
    command = [sys.executable, "compile.py", "--out", str(out)]
    variables = {k: v for k, v in os.environ.items() if not k.startswith("DOCTUNE_")}
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=variables, timeout=300)
    return out


@pytest.fixture
def changed(compiled: Path) -> dict:
    """The main pipeline as an object that a test may change; see `differences`."""
    return yaml.safe_load((compiled / "pipelines/train_and_deploy.yaml").read_text())


def differences(compiled: Path, folder: Path, spec: dict) -> list[tuple[str, str, str, str]]:
    path = folder / "train_and_deploy.yaml"
    path.write_text(yaml.safe_dump(spec))
    before = read_facts(compiled / "pipelines/train_and_deploy.yaml")
    return diff_specs(before, read_facts(path))


def test_equal_specs_differ_in_nothing(compiled: Path, tmp_path: Path, changed: dict) -> None:
    assert differences(compiled, tmp_path, changed) == []
    count = len(list(compiled.glob("*/*.yaml")))
    expected = f"## Specs\n\n{count} of {count} specs are as they were.\n"
    assert diff_folders(compiled, compiled) == expected


def test_parameters(compiled: Path, tmp_path: Path, changed: dict) -> None:
    parameters = changed["root"]["inputDefinitions"]["parameters"]
    parameters["lora_r"]["defaultValue"] = 32.0
    parameters["fresh"] = {"parameterType": "STRING", "isOptional": True}
    del parameters["question"]

    assert differences(compiled, tmp_path, changed) == [
        ("parameter", "fresh", "", "STRING (optional)"),
        ("parameter", "lora_r", "NUMBER_INTEGER = 16.0", "NUMBER_INTEGER = 32.0"),
        ("parameter", "question", "STRING", ""),
    ]


def test_images_machines_and_code(compiled: Path, tmp_path: Path, changed: dict) -> None:
    executor = changed["deploymentSpec"]["executors"]["exec-tune-model"]["container"]
    executor["image"] = "registry/training:new"
    executor["resources"]["cpuLimit"] = 96.0
    executor["command"][-1] += "\n# changed"

    found = differences(compiled, tmp_path, changed)

    assert [row[:2] for row in found] == [
        ("image", "tune-model"),
        ("machine", "tune-model.cpuLimit"),
        ("code", "tune-model"),
    ]
    assert found[0][3] == "registry/training:new"
    assert found[1][3] == "96.0"


def test_steps_and_how_they_are_wired(compiled: Path, tmp_path: Path, changed: dict) -> None:
    tasks = changed["root"]["dag"]["tasks"]
    tasks["build-index"]["cachingOptions"] = {"enableCache": False}
    tasks["extra"] = {"taskInfo": {"name": "Extra step"}, "componentRef": {"name": "comp-extra"}}

    assert [row[:3] for row in differences(compiled, tmp_path, changed)] == [
        ("step", "extra", ""),
        ("wiring", "build-index.cachingOptions.enableCache", "true"),
        ("wiring", "extra.componentRef.name", ""),
    ]


@pytest.mark.parametrize(
    "place",
    [
        ("components", "comp-tune-model", "executorLabel"),
        ("components", "comp-tune-model", "inputDefinitions", "artifacts", "new"),
        ("deploymentSpec", "executors", "exec-tune-model", "container", "env"),
        ("deploymentSpec", "elsewhere"),
        ("root", "outputDefinitions", "new"),
        ("sdkVersion",),
        ("defaultPipelineRoot",),
    ],
)
def test_nothing_that_differs_is_left_out(
    compiled: Path, tmp_path: Path, changed: dict, place: tuple[str, ...]
) -> None:
    *above, last = place
    part = changed
    for key in above:
        part = part.setdefault(key, {})
    part[last] = "planted"

    (row,) = differences(compiled, tmp_path, changed)

    assert row[3] == '"planted"'


def test_specs_that_come_and_go_are_said(compiled: Path, tmp_path: Path) -> None:
    head = tmp_path / "pipelines"
    head.mkdir()
    (head / "renamed.yaml").write_bytes((compiled / "pipelines/train_and_deploy.yaml").read_bytes())

    text = diff_folders(compiled, tmp_path)

    assert "**pipelines/renamed.yaml** is new." in text
    assert "**pipelines/train_and_deploy.yaml** is gone." in text


def test_markdown_is_not_broken_by_what_is_in_a_spec(
    compiled: Path, tmp_path: Path, changed: dict
) -> None:
    changed["root"]["inputDefinitions"]["parameters"]["question"]["defaultValue"] = "a|b `c` " * 30
    (tmp_path / "pipelines").mkdir()
    differences(compiled, tmp_path / "pipelines", changed)

    (row,) = [line for line in diff_folders(compiled, tmp_path).splitlines() if "question" in line]

    assert row.replace("\\|", "").count("|") == 5
    assert row.count("`") == 6
    assert len(row) < 200


def test_the_first_comparison_has_no_base(
    compiled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "missing"), str(compiled)]) == 0
    assert "nothing to compare with" in capsys.readouterr().out


def test_what_is_no_spec_is_refused(compiled: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no specs"):
        diff_folders(compiled, tmp_path)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/train_and_deploy.yaml").write_text("a: 1")
    with pytest.raises(UsageError, match="no compiled spec"):
        diff_folders(compiled, tmp_path)
    assert main([str(compiled), str(tmp_path)]) == 2
