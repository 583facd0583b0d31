"""Parses gcloud command lines, and prints results in its formats."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

# Options without a value; all other long options have one.
_SWITCHES = frozenset(
    {"recursive", "quiet", "force", "long", "enable-web-access", "verbose", "no-clobber"}
    | {"uniform-bucket-level-access", "delete-unmatched-destination-objects", "stream-logs"}
    | {"all-versions", "stat", "fetch-encrypted-object-hashes", "full", "json", "raw", "buckets"}
    | {"summarize", "readable-sizes", "total", "async", "dry-run", "continue-on-error", "if-exists"}
    | {"preserve-posix", "print-created-message", "no-user-output-enabled", "sync"}
)
_VALUE = re.compile(r"value\((?P<path>[\w.\[\]]+)(?:\.[a-z]+\(\))?\)")


@dataclass
class Options:
    """A parsed command line."""

    words: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)

    def has(self, *names: str) -> bool:
        """Whether one of the options is given."""
        return any(name in self.values for name in names)

    def get(self, *names: str) -> str:
        """Returns the value of the first of the options that is given, or else ""."""
        return next((self.values[name][-1] for name in names if name in self.values), "")

    @property
    def format(self) -> str:
        """The output format."""
        return self.get("format")


def parse(arguments: list[str]) -> Options:
    """Parses a command line as gcloud does: `--name=value`, `--name value`, `--switch`, `-r`."""
    options = Options()
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            if not equals and name not in _SWITCHES and rest and not rest[0].startswith("--"):
                value = rest.pop(0)
            options.values.setdefault(name, []).append(value)
        elif argument.startswith("-") and len(argument) == 2 and argument[1] in "lp" and rest:
            options.values.setdefault(argument[1], []).append(rest.pop(0))
        elif argument.startswith("-") and len(argument) > 1:
            for letter in argument[1:]:
                options.values.setdefault(letter, []).append("")
        else:
            options.words.append(argument)
    return options


def shown(value: Any, options: Options) -> None:
    """Prints a result: YAML, unless `--format` requests JSON or a single value."""
    wanted = options.format.strip("'\"")
    if wanted.startswith("json"):
        print(json.dumps(value, indent=2))  # noqa: T201
    elif match := _VALUE.fullmatch(wanted.replace("get(", "value(")):
        rows = value if isinstance(value, list) else [value]
        for row in rows:
            print(_at(row, match["path"]))  # noqa: T201
    else:
        import yaml

        rows = value if isinstance(value, list) else [value]
        texts = [yaml.safe_dump(row, default_flow_style=False) for row in rows]
        print("---\n".join(texts), end="")  # noqa: T201


def _at(value: Any, path: str) -> Any:
    for part in re.findall(r"\w+", path):
        if isinstance(value, list):
            value = value[int(part)] if part.isdecimal() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            return ""
    return value
