"""Compare two sets of compiled specs, as Markdown.

    python -m cloudbuild.spec_diff BASE HEAD

BASE and HEAD are folders as `compile.py --out` writes them; BASE may be missing. Parameters, steps,
images, machines and code are compared separately; other differences are listed by their path in the
spec, so that none is left out.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from doctune.errors import DoctuneError, UsageError

_MOST_ROWS = 60
_LONGEST = 80

Facts = dict[tuple[str, str], str]  # (what it is, its name) -> how it is


def main(arguments: list[str] | None = None) -> int:
    """Prints the differences; returns 0, or 2 where a file is no spec."""
    parser = argparse.ArgumentParser(
        prog="python -m cloudbuild.spec_diff", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("base", type=Path, help="folder of specs before the change")
    parser.add_argument("head", type=Path, help="folder of specs after it")
    options = parser.parse_args(arguments)
    try:
        print(diff_folders(options.base, options.head), end="")
    except DoctuneError as error:
        print(f"spec_diff: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def diff_folders(base: Path, head: Path) -> str:
    """Returns the differences of all specs as Markdown.

    Raises:
        UsageError: `head` holds no specs, or a file of either is none.
    """
    before, after = _specs(base), _specs(head)
    if not after:
        raise UsageError(f"{head} holds no specs: run `python compile.py --out {head}`.")
    if not before:
        return "## Specs\n\nThere is nothing to compare with: no specs of the base.\n"
    lines = ["## Specs", ""]
    same = 0
    for name in sorted({*before, *after}):
        if name not in after:
            lines += [f"**{name}** is gone.", ""]
        elif name not in before:
            lines += [f"**{name}** is new.", ""]
        elif rows := diff_specs(read_facts(before[name]), read_facts(after[name])):
            lines += _table(name, rows)
        else:
            same += 1
    lines.append(f"{same} of {len(after)} specs are as they were.")
    return "\n".join(lines) + "\n"


def diff_specs(before: Facts, after: Facts) -> list[tuple[str, str, str, str]]:
    """Returns the differences: kind, name, old and new value ("" if missing)."""
    return [
        (*key, before.get(key, ""), after.get(key, ""))
        for key in sorted({*before, *after}, key=_importance)
        if before.get(key) != after.get(key)
    ]


def read_facts(path: Path) -> Facts:
    """Returns the content of a spec as facts that can be compared one by one.

    Raises:
        UsageError: The file is no compiled spec.
    """
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        spec = documents[0]
        facts = dict(_parameters(spec["root"]))
        for name, executor in spec["deploymentSpec"]["executors"].items():
            facts.update(_executor(name, executor))
        facts.update(_steps("", spec["root"].get("dag", {}).get("tasks", {})))
        for name, component in spec["components"].items():
            facts.update(_steps(f"{name}/", component.get("dag", {}).get("tasks", {})))
        rest: dict[str, Any] = {
            "components": _without_steps(spec["components"]),
            "root": _without_steps({"": spec["root"]})[""],
            "deploymentSpec": {k: v for k, v in spec["deploymentSpec"].items() if k != "executors"},
            **{k: v for k, v in spec.items() if k not in ("components", "root", "deploymentSpec")},
            "platforms": documents[1:],
        }
        facts.update({("other", place): value for place, value in _flat("", rest)})
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UsageError(f"{path} is no compiled spec ({type(error).__name__}).") from error
    return facts


def _parameters(root: dict[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    for name, value in root.get("inputDefinitions", {}).get("parameters", {}).items():
        default = f" = {json.dumps(value['defaultValue'])}" if "defaultValue" in value else ""
        optional = " (optional)" if value.get("isOptional") and not default else ""
        yield ("parameter", name), f"{value['parameterType']}{default}{optional}"


def _executor(name: str, executor: dict[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    step = name.removeprefix("exec-")
    container = dict(executor.get("container", {}))
    yield ("image", step), container.pop("image", "")
    for key, value in _flat("", container.pop("resources", {})):
        yield ("machine", f"{step}.{key}"), value
    code = json.dumps([container.pop("command", []), container.pop("args", [])])
    yield ("code", step), hashlib.sha256(code.encode()).hexdigest()[:12]
    rest = {"container": container, **{k: v for k, v in executor.items() if k != "container"}}
    for key, value in _flat("", rest):
        yield ("other", f"executors.{step}.{key}"), value


def _steps(above: str, tasks: dict[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    for name, task in tasks.items():
        yield ("step", f"{above}{name}"), task.get("taskInfo", {}).get("name", name)
        for key, value in _flat("", {k: v for k, v in task.items() if k != "taskInfo"}):
            yield ("wiring", f"{above}{name}.{key}"), value


def _without_steps(components: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what `_steps` and `_parameters` tell."""
    left = {}
    for name, component in components.items():
        dag = {k: v for k, v in component.get("dag", {}).items() if k != "tasks"}
        inputs = dict(component.get("inputDefinitions", {}))
        if name == "":
            inputs.pop("parameters", None)
        left[name] = {**component, "dag": dag, "inputDefinitions": inputs}
    return left


def _flat(place: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(f"{place}.{key}" if place else str(key), item)
    else:
        yield place, json.dumps(value)


def _specs(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.glob("*/*.yaml"))}


def _importance(key: tuple[str, str]) -> tuple[int, str]:
    kinds = ("parameter", "step", "image", "machine", "code", "wiring", "other")
    return kinds.index(key[0]), key[1]


def _table(name: str, rows: list[tuple[str, str, str, str]]) -> list[str]:
    lines = [f"**{name}**", "", "| what | name | before | after |", "|---|---|---|---|"]
    lines += [
        f"| {kind} | `{place}` | {_cell(was)} | {_cell(now)} |"
        for kind, place, was, now in rows[:_MOST_ROWS]
    ]
    if len(rows) > _MOST_ROWS:
        lines.append(f"| | and {len(rows) - _MOST_ROWS} more | | |")
    return [*lines, ""]


def _cell(text: str) -> str:
    if not text:
        return "-"
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "`" + shown.replace("`", "'").replace("|", "\\|") + "`"


if __name__ == "__main__":
    sys.exit(main())
