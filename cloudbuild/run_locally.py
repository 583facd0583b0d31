"""Run a Cloud Build file on this machine: its steps in order, each as a local program.

    python -m cloudbuild.run_locally cloudbuild.yaml --substitution COMMIT_SHA=abc [...]

Substitutions, `env`, `dir`, `entrypoint`, `script`, `waitFor`, `timeout`, `allowFailure` and
`allowExitCodes` mean what they mean in Cloud Build. What differs: no container is started, the
steps share this machine's files and environment, and no two run at once. `cloudbuild/programs.yaml`
says which program stands for an image's own entry point.
"""

import argparse
import fnmatch
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from cloudbuild.build_file import Build, Step, in_order, read_build, seconds
from doctune import limits
from doctune.errors import DoctuneError, UsageError
from doctune.processes import start_process, stop_process

PROGRAMS = Path(__file__).parent / "programs.yaml"


@dataclass(frozen=True)
class Outcome:
    """The result of one step."""

    step: str
    state: str  # "succeeded", "failed", "failed, which is allowed", "not run"
    seconds: float


def main(arguments: list[str] | None = None) -> int:
    """Runs a build; returns 0 where it succeeded, 1 where a step failed, 2 for wrong usage."""
    options = _arguments(arguments)
    try:
        build = read_build(options.build, _pairs(options.substitution))
        outcomes = run_build(
            build,
            options.workspace.absolute(),
            path=[folder.absolute() for folder in options.path],
            only=options.step,
            late=options.late,
        )
    except DoctuneError as error:
        print(f"run_locally: {error}", file=sys.stderr)
        return error.exit_code
    for outcome in outcomes:
        print(f"{outcome.step:<28} {outcome.state:<26} {outcome.seconds:7.1f} s")
    return 1 if any(outcome.state in ("failed", "not run") for outcome in outcomes) else 0


def run_build(
    build: Build,
    workspace: Path,
    *,
    path: list[Path] | None = None,
    only: list[str] | None = None,
    late: bool = False,
) -> list[Outcome]:
    """Runs the steps until one fails; returns how each ended.

    Args:
        workspace: What is /workspace in Cloud Build: the folder of the sources.
        path: Folders searched for programs before those of `PATH`.
        only: Ids of the steps to run; all where empty.
        late: Whether steps run in the last order that `waitFor` allows; see `in_order`.

    Raises:
        UsageError: There is no such step or folder, an image has no program here, or a secret is
            missing from the environment.
    """
    steps = in_order(build.steps, late=late)
    unknown = set(only or []) - {step.id for step in steps}
    if unknown:
        raise UsageError(f"the build has no step {', '.join(sorted(unknown))}.")
    steps = [step for step in steps if not only or step.id in only]
    programs = yaml.safe_load(PROGRAMS.read_text(encoding="utf-8"))
    outcomes: list[Outcome] = []
    for step in steps:
        if any(outcome.state == "failed" for outcome in outcomes):
            outcomes.append(Outcome(step.id, "not run", 0.0))
            continue
        print(f"--- {step.id} ({step.name})", flush=True)
        outcomes.append(_run_step(step, build, workspace, path or [], programs))
    return outcomes


def _run_step(
    step: Step, build: Build, workspace: Path, path: list[Path], programs: Mapping[str, list[str]]
) -> Outcome:
    folder = (workspace / step.dir).resolve()
    if not folder.is_relative_to(workspace.resolve()) or not folder.is_dir():
        raise UsageError(f"step {step.id}: {step.dir!r} is no folder of the workspace.")
    environment = _environment(step, build, path)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cloudbuild-") as scratch:
        command = _command(step, programs, Path(scratch))
        code = _execute(command, folder, environment, seconds(step.timeout))
    took = time.monotonic() - started
    if code == 0:
        return Outcome(step.id, "succeeded", took)
    allowed = step.allow_failure or code in step.allow_exit_codes
    print(f"{step.id} ended with {code}", flush=True)
    return Outcome(step.id, "failed, which is allowed" if allowed else "failed", took)


def _command(step: Step, programs: Mapping[str, list[str]], scratch: Path) -> list[str]:
    if step.script:
        script = scratch / "script"
        script.write_text(step.script, encoding="utf-8")
        script.chmod(0o700)
        return [str(script)] if step.script.startswith("#!") else ["/bin/sh", str(script)]
    if step.entrypoint:
        return [step.entrypoint, *step.args]
    for pattern, program in programs.items():
        if fnmatch.fnmatchcase(step.name, pattern):
            return [*program, *step.args]
    raise UsageError(
        f"step {step.id}: nothing here stands for the entry point of {step.name}: add a line to "
        f"{PROGRAMS.name}, or give the step an entrypoint."
    )


def _environment(step: Step, build: Build, path: list[Path]) -> dict[str, str]:
    secrets = [*build.options.secret_env, *step.secret_env]
    missing = [name for name in secrets if name not in os.environ]
    if missing:
        raise UsageError(f"step {step.id}: set {', '.join(missing)}, which is a secret, first.")
    own = dict(line.split("=", 1) for line in (*build.options.env, *step.env))
    found = os.pathsep.join([*map(str, path), own.get("PATH", os.environ.get("PATH", ""))])
    return {**os.environ, **own, "PATH": found}


def _execute(
    command: list[str], folder: Path, environment: Mapping[str, str], limit: float | None
) -> int:
    try:
        process = start_process(command, environment=environment, cwd=folder)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", flush=True)
        return 127
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        print(f"not over after {limit:g} s, its timeout", flush=True)
        return 124
    finally:
        stop_process(process.pid)
        limits.wait_for_end(process, limits.PROCESS_END, command[0])


def _pairs(lines: list[str]) -> dict[str, str]:
    for line in lines:
        if "=" not in line:
            raise UsageError(f"--substitution {line}: write NAME=value.")
    return dict(line.split("=", 1) for line in lines)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cloudbuild.run_locally", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("build", type=Path, help="the build file")
    parser.add_argument(
        "--substitution",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value as a trigger gives it; may be repeated",
    )
    parser.add_argument(
        "--workspace", type=Path, default=Path(), help="folder of the sources (here)"
    )
    parser.add_argument(
        "--path",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="folder of programs that come before those of PATH; may be repeated",
    )
    parser.add_argument(
        "--step", action="append", default=[], metavar="ID", help="only this step; may be repeated"
    )
    parser.add_argument(
        "--late", action="store_true", help="run each step as late as its waitFor allows"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
