"""The conditions of a compiled pipeline: CEL expressions over the inputs of the guarded task.

kfp.local translates a condition into Python and treats one that it cannot evaluate as false: the
branch is skipped and the run succeeds. Here such a condition is an error that fails the run.
"""

from collections.abc import Mapping
from typing import Any


class ExpressionError(Exception):
    """An expression in the spec cannot be evaluated; the message says which one and why."""


def holds(expression: str, parameters: Mapping[str, Any]) -> bool:
    """Evaluates a condition.

    Args:
        expression: CEL that refers to the task's inputs as `inputs.parameter_values['NAME']`.
        parameters: The task's input parameters.

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
