"""The runner keeps to what Cloud Build does with a step."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cloudbuild.build_file import read_build
from cloudbuild.run_locally import main, run_build
from doctune.errors import UsageError

PYTHON = "python:3.11"


def run(folder: Path, *steps: dict[str, object], **options: object) -> dict[str, str]:
    """Runs steps in a folder; returns how each ended."""
    file = folder / "build.yaml"
    numbered = [{"id": f"s{at}", "name": PYTHON, **step} for at, step in enumerate(steps)]
    file.write_text(yaml.safe_dump({"steps": numbered, "options": {"env": ["GREETING=hello"]}}))
    outcomes = run_build(read_build(file, {}), folder, **options)
    return {outcome.step: outcome.state for outcome in outcomes}


def test_a_script_runs_in_the_workspace_with_its_environment(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()

    states = run(
        tmp_path,
        {"script": 'echo "$GREETING $WHO" > out', "env": ["WHO=world"], "dir": "sub"},
        {"script": "#!/usr/bin/env python3\nopen('py', 'w').write('yes')"},
        {"args": ["sh", "-c", "echo $0 > args", "zero"]},
        {"entrypoint": "sh", "args": ["-c", "echo entry > entry"]},
    )

    assert set(states.values()) == {"succeeded"}
    assert (tmp_path / "sub/out").read_text() == "hello world\n"
    assert (tmp_path / "py").read_text() == "yes"
    assert (tmp_path / "args").read_text() == "zero\n"
    assert (tmp_path / "entry").read_text() == "entry\n"


def test_a_failure_ends_the_build(tmp_path: Path) -> None:
    states = run(tmp_path, {"script": "exit 3"}, {"script": "touch later"})

    assert states == {"s0": "failed", "s1": "not run"}
    assert not (tmp_path / "later").exists()


@pytest.mark.parametrize("allowed", [{"allowFailure": True}, {"allowExitCodes": [3, 4]}])
def test_an_allowed_failure_does_not(tmp_path: Path, allowed: dict[str, object]) -> None:
    states = run(tmp_path, {"script": "exit 3", **allowed}, {"script": "touch later"})

    assert states == {"s0": "failed, which is allowed", "s1": "succeeded"}


def test_a_step_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    script = "sleep 61 & echo $! > child; wait"

    states = run(tmp_path, {"script": script, "timeout": "0.5s"})

    assert states == {"s0": "failed"}
    child = (tmp_path / "child").read_text().strip()
    assert not _is_running(int(child))


def test_an_images_own_program_is_looked_up_and_may_be_replaced(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "docker").write_text("#!/bin/sh\necho docker $* > called\n")
    (programs / "docker").chmod(0o755)
    step = {"name": "gcr.io/cloud-builders/docker:24.0.9", "args": ["build", "."]}

    run(tmp_path, step, path=[programs])

    assert (tmp_path / "called").read_text() == "docker build .\n"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"name": "example.com/unknown", "args": ["x"]}, "entry point of example.com/unknown"),
        ({"script": "true", "dir": "../.."}, "is no folder of the workspace"),
        ({"script": "true", "secretEnv": ["TOKEN_OF_NOBODY"]}, "set TOKEN_OF_NOBODY"),
    ],
)
def test_what_cannot_run_here_is_said(
    tmp_path: Path, step: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run(tmp_path, step)


def test_a_program_that_is_missing_fails_its_step(tmp_path: Path) -> None:
    assert run(tmp_path, {"args": ["no-such-program"]}) == {"s0": "failed"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [([], 0), (["--substitution", "_CODE=3"], 1), (["--substitution", "_OTHER=3"], 2)],
)
def test_the_exit_code_says_how_it_went(tmp_path: Path, arguments: list[str], code: int) -> None:
    file = tmp_path / "build.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "substitutions": {"_CODE": "0"},
                "steps": [{"id": "a", "name": PYTHON, "args": ["sh", "-c", "exit $_CODE"]}],
            }
        )
    )

    assert main([str(file), "--workspace", str(tmp_path), *arguments]) == code


def test_one_step_can_be_run_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "build.yaml"
    steps = [{"id": name, "name": PYTHON, "script": f"touch {name}"} for name in "ab"]
    file.write_text(yaml.safe_dump({"steps": steps}))

    options = ["--workspace", str(tmp_path), "--step", "b"]
    done = subprocess.run(
        [sys.executable, "-m", "cloudbuild.run_locally", str(file), *options],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert "b                            succeeded" in done.stdout
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "b").exists()


def _is_running(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
