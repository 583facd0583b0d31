"""Reads a Cloud Build file: resolves substitutions, and orders the steps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from cloudbuild.substitutions import BUILT_IN, PULL_REQUEST, Substitutions
from doctune.errors import UsageError


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class Step(_Part):
    """One step: the command that a container of the image `name` runs."""

    name: str
    id: str = ""
    entrypoint: str = ""
    args: list[str] = []
    script: str = ""
    env: list[str] = []  # NAME=value
    secret_env: list[str] = []
    dir: str = ""  # relative to the workspace
    wait_for: list[str] = []
    timeout: str = ""  # such as 600s
    allow_failure: bool = False
    allow_exit_codes: list[int] = []


class Options(_Part):
    """The options for all steps and for the build."""

    env: list[str] = []
    secret_env: list[str] = []
    logging: str = ""
    machine_type: str = ""
    disk_size_gb: int | str = 0
    dynamic_substitutions: bool = False
    substitution_option: str = "MUST_MATCH"
    requested_verify_option: str = ""


class Build(_Part):
    """A build file."""

    steps: list[Step] = Field(min_length=1)
    substitutions: dict[str, str] = {}
    options: Options = Options()
    timeout: str = ""
    tags: list[str] = []
    images: list[str] = []
    service_account: str = ""
    available_secrets: dict[str, Any] = {}


def read_build(path: Path, given: Mapping[str, str]) -> Build:
    """Returns a build whose substitutions are filled in.

    Args:
        path: A YAML file, as `gcloud builds submit --config` takes it.
        given: Values over the file's own, and those that a trigger would give.

    Raises:
        UsageError: The file is no build, has what this runner cannot do, or names a substitution
            or a step that is not there. Where `substitutionOption` is not ALLOW_LOOSE, a declared
            substitution that nothing names is an error too, as in Cloud Build.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        build = Build.model_validate(document)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValidationError) as error:
        raise UsageError(f"{path} is no build that can run here: {_one_line(error)}") from error
    substitutions = Substitutions(build.substitutions, given)
    filled = Build.model_validate(_fill(build.model_dump(exclude={"substitutions"}), substitutions))
    # What Cloud Build itself fills in is there whether or not a step names it.
    own = {*build.substitutions, *given} - {*BUILT_IN, *PULL_REQUEST}
    unused = own - substitutions.used - _named_by_others(build)
    if build.options.substitution_option == "MUST_MATCH" and unused:
        raise UsageError(f"{path}: no step names {', '.join(sorted(unused))}.")
    _check_steps(path, filled.steps)
    return filled.model_copy(update={"substitutions": substitutions.values})


def in_order(steps: list[Step], *, late: bool = False) -> list[Step]:
    """Returns the steps in an order that `waitFor` allows.

    Args:
        late: Whether, of the steps that could start, the last is taken first. A step that lacks a
            `waitFor` then runs before what it needs, as it may in Cloud Build.
    """
    waiting = {step.id: _awaited(steps, at) for at, step in enumerate(steps)}
    ordered: list[Step] = []
    while len(ordered) < len(steps):
        done = {step.id for step in ordered}
        ready = [step for step in steps if step.id not in done and waiting[step.id] <= done]
        ordered.append(ready[-1 if late else 0])
    return ordered


def seconds(duration: str) -> float | None:
    """Returns a duration such as `600s` in seconds; None for an empty one.

    Raises:
        UsageError: It is not written so.
    """
    if not duration:
        return None
    try:
        return float(duration.removesuffix("s"))
    except ValueError as error:
        raise UsageError(f"{duration!r} is no duration: write seconds, such as 600s.") from error


def _awaited(steps: list[Step], at: int) -> set[str]:
    named = steps[at].wait_for
    if not named:
        return {step.id for step in steps[:at]}
    return {name for name in named if name != "-"}


def _fill(value: Any, substitutions: Substitutions) -> Any:
    if isinstance(value, str):
        return substitutions.fill(value)
    if isinstance(value, list):
        return [_fill(item, substitutions) for item in value]
    if isinstance(value, dict):
        # A script is not filled in: what it needs comes by `env`.
        return {
            key: item if key == "script" else _fill(item, substitutions)
            for key, item in value.items()
        }
    return value


def _named_by_others(build: Build) -> set[str]:
    return {
        name
        for name in build.substitutions
        for other, value in build.substitutions.items()
        if other != name and f"${{{name}}}" in value
    }


def _check_steps(path: Path, steps: list[Step]) -> None:
    known: set[str] = set()
    for number, step in enumerate(steps, start=1):
        label = f"{path}: step {step.id or number}"
        if not step.id or step.id in known:
            raise UsageError(f"{label} needs an id that no other step has.")
        for name in step.wait_for:
            if name != "-" and name not in known:
                raise UsageError(f"{label} waits for {name}, which is no step before it.")
        if step.script and (step.args or step.entrypoint):
            raise UsageError(f"{label} has a script, and so may have neither args nor entrypoint.")
        for line in step.env:
            if "=" not in line:
                raise UsageError(f"{label}: {line!r} is not NAME=value.")
        seconds(step.timeout)
        known.add(step.id)


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors()
        )
    return " ".join(str(error).split())
