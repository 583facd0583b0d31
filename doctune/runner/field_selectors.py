"""Parameter expression selectors, which select a part of a value as a task's input.

The compiler writes `parseJson(string_value)["field"]` if a loop item or an output is a struct and a
task takes one of its fields; fields may be nested.
"""

import json
import re
from typing import Any

from doctune.runner.conditions import ExpressionError

_SELECTOR = re.compile(r"(?:parseJson\(string_value\)|[a-z]+_value|item)(?P<path>(?:\[[^\]]+\])*)")
_STEP = re.compile(r"\[(?:\"(?P<field>[^\"]*)\"|'(?P<quoted>[^']*)'|(?P<index>-?\d+))\]")


def select(value: Any, expression: str) -> Any:
    """Returns the part of a value that an expression selects.

    Raises:
        ExpressionError: The value has no such part, or the expression has an unknown form.
    """
    match = _SELECTOR.fullmatch(expression.strip())
    if match is None:
        raise ExpressionError(f"the selector {expression!r} has an unknown form")
    value = _parsed(value, expression)
    for step in _STEP.finditer(match["path"]):
        key: Any = int(step["index"]) if step["index"] else step["field"] or step["quoted"] or ""
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError) as error:
            raise ExpressionError(
                f"{_short(value)} has no {key!r}, which {expression!r} takes"
            ) from error
    return value


def _parsed(value: Any, expression: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ExpressionError(
            f"{_short(value)} is not JSON, which {expression!r} takes a part of"
        ) from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
