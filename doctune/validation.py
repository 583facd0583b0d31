"""Puts in words what a pydantic model refuses."""

from __future__ import annotations

from pydantic import ValidationError


def first_problem(error: ValidationError, whole: str = "") -> str:
    """Returns the first problem of an error in one line: `teacher.name: Field required`.

    Args:
        whole: What to name where the problem is that of no single field, such as "the file".
    """
    # The input may be a user's text or a secret: it belongs in no message.
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, problem["loc"])) or whole
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
