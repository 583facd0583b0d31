"""The conditions of a compiled pipeline: CEL over the inputs of the task that they guard.

kfp.local turns a condition into Python, and takes one that it cannot evaluate for false: the branch
is skipped and the run succeeds. Here such a condition is an error that fails the run.
"""

from collections.abc import Mapping
from typing import Any


class ExpressionError(Exception):
    """An expression of the spec cannot be evaluated; the message says which and why."""


def holds(expression: str, parameters: Mapping[str, Any]) -> bool:
    """Evaluates a condition.

    Args:
        expression: CEL, in which `inputs.parameter_values['NAME']` are the task's inputs.
        parameters: Those inputs.

    Raises:
        ExpressionError: It cannot be evaluated, or is neither true nor false.
    """
    import cel

    try:
        value = cel.evaluate(expression, {"inputs": {"parameter_values": dict(parameters)}})
    except KeyError as error:
        raise ExpressionError(
            f"the condition {expression!r} names {error.args[0]!r}, which has no value; there are: "
            f"{', '.join(sorted(parameters)) or 'none'}"
        ) from error
    except (ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ExpressionError(
            f"the condition {expression!r} cannot be evaluated: {reason}"
        ) from error
    if not isinstance(value, bool):
        raise ExpressionError(
            f"the condition {expression!r} is neither true nor false: it is {value!r}"
        )
    return value
