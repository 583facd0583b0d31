"""What a build's fields become once every substitution is filled in."""

from pathlib import Path

import pytest
import yaml

from cloudbuild.build_file import in_order, read_build, seconds
from cloudbuild.substitutions import Substitutions
from doctune.errors import UsageError


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("$PROJECT_ID", "demo"),
        ("${PROJECT_ID}-x", "demo-x"),
        ("$_A/$_B", "demo-1/2"),
        ("$$HOME $${HOME} $$$$", "$HOME ${HOME} $$"),
        ("$(date) 5$", "$(date) 5$"),
        ("${TAG_NAME}.", "."),
        ("$$_A", "$_A"),
    ],
)
def test_references_are_filled_in(text: str, filled: str) -> None:
    values = Substitutions({"_A": "${PROJECT_ID}-1", "_B": "1"}, {"PROJECT_ID": "demo", "_B": "2"})

    assert values.fill(text) == filled


@pytest.mark.parametrize(
    ("declared", "text", "message"),
    [
        ({}, "$_MISSING", "is no substitution"),
        ({}, "${HOME}", r"write \$\$\{HOME\}"),
        ({"_A": "x"}, "${_A:0:7}", "more than a name"),
        ({"_A": "$_B", "_B": "$_A"}, "", "_A -> _B -> _A"),
        ({"REGION": "x"}, "", "begin with an underscore"),
        ({"_a": "x"}, "", "begin with an underscore"),
    ],
)
def test_a_wrong_reference_is_refused(declared: dict[str, str], text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Substitutions(declared, {}).fill(text)


def test_all_fields_of_a_step_but_its_script_are_filled_in(tmp_path: Path) -> None:
    build = _read(
        tmp_path,
        {
            "substitutions": {"_NAME": "x"},
            "steps": [
                {"id": "a", "name": "i:$_NAME", "args": ["$_NAME"], "env": ["N=$_NAME"]},
                {"id": "b", "name": "i", "script": "echo $_NAME $$"},
            ],
        },
    )

    assert build.steps[0].name == "i:x"
    assert build.steps[0].args == ["x"]
    assert build.steps[0].env == ["N=x"]
    assert build.steps[1].script == "echo $_NAME $$"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"id": "a", "name": "i", "waitFor": ["b"]}, "waits for b"),
        ({"name": "i"}, "needs an id"),
        ({"id": "a", "name": "i", "script": "x", "args": ["y"]}, "neither args nor entrypoint"),
        ({"id": "a", "name": "i", "env": ["X"]}, "is not NAME=value"),
        ({"id": "a", "name": "i", "timeout": "1h"}, "is no duration"),
        ({"id": "a", "name": "i", "volumes": []}, "volumes"),
        ({"id": "a"}, "name"),
    ],
)
def test_a_step_that_cannot_run_is_refused(
    tmp_path: Path, step: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        _read(tmp_path, {"steps": [step]})


def test_what_cloud_build_fills_in_need_not_be_named_by_a_step(tmp_path: Path) -> None:
    build = {
        "substitutions": {"_IMAGES": "pkg.dev/${PROJECT_ID}/doctune"},
        "steps": [{"id": "a", "name": "i", "args": ["${_IMAGES}"]}],
    }

    read = _read(tmp_path, build, PROJECT_ID="my-project", COMMIT_SHA="abc", _PR_NUMBER="7")

    assert read.steps[0].args == ["pkg.dev/my-project/doctune"]


def test_a_substitution_that_nothing_names_is_refused_unless_allowed(tmp_path: Path) -> None:
    build = {"substitutions": {"_A": "x"}, "steps": [{"id": "a", "name": "i"}]}

    with pytest.raises(UsageError, match="no step names _A"):
        _read(tmp_path, build)

    loose = {**build, "options": {"substitutionOption": "ALLOW_LOOSE"}}
    assert _read(tmp_path, loose).substitutions["_A"] == "x"


def test_the_order_is_one_that_wait_for_allows(tmp_path: Path) -> None:
    waits = {"a": ["-"], "b": ["a"], "c": ["-"], "d": [], "e": ["-"]}
    build = _read(
        tmp_path,
        {"steps": [{"id": k, "name": "i", "waitFor": v} for k, v in waits.items()]},
    )

    assert [step.id for step in in_order(build.steps)] == ["a", "b", "c", "d", "e"]
    assert [step.id for step in in_order(build.steps, late=True)] == ["e", "c", "a", "b", "d"]


def test_durations() -> None:
    assert (seconds("600s"), seconds("1.5s"), seconds("")) == (600.0, 1.5, None)


def _read(folder: Path, build: dict[str, object], **given: str):
    path = folder / "build.yaml"
    path.write_text(yaml.safe_dump(build))
    return read_build(path, given)
