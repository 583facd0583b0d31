"""What Google's provider refuses in a configuration, beyond names and types.

Values: one of a list, a pattern, a range. Company: arguments that exclude one another, that go
together, of which exactly one or at least one must be set.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgpack

Facts = dict[str, dict[str, Any]]


def is_block(fact: dict[str, Any]) -> bool:
    """Returns whether an argument is written as a block, as the provider's SDK decides it."""
    return "block" in fact and fact["use"] != "computed"


def problems(facts: Facts, config: dict[str, Any]) -> Iterator[str]:
    """Yields what is wrong; what is not known yet gets the benefit of the doubt."""
    given, unknown = set(), set()
    for path, _, value in _walk(facts, config, ""):
        if isinstance(value, msgpack.ExtType):
            unknown.add(path)
        elif value is not None and value != []:
            given.add(path)
    for path, fact, value in _walk(facts, config, ""):
        yield from _company(path, fact, given, unknown)
        if path in given:
            yield from _value(path, fact, value)


def _walk(
    facts: Facts, config: dict[str, Any], prefix: str
) -> Iterator[tuple[str, dict[str, Any], Any]]:
    for name, fact in facts.items():
        value = config.get(name)
        yield f"{prefix}{name}", fact, value
        if is_block(fact) and isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _walk(fact["block"], item, f"{prefix}{name}.{index}.")


def _company(path: str, fact: dict[str, Any], given: set[str], unknown: set[str]) -> Iterator[str]:
    if path in given:
        for other in fact.get("not_with", ()):
            if other in given and other != path:
                yield f"{path} excludes {other}"
        for other in fact.get("with", ()):
            if other not in given | unknown:
                yield f"{path} needs {other}"
    # The lists name the first of several blocks; in the others they cannot be meant.
    if any(part.isdigit() and part != "0" for part in path.split(".")):
        return
    one, some = set(fact.get("one_of", ())), set(fact.get("some_of", ()))
    if len(given & one) > 1:
        yield f"only one is to be set of {', '.join(sorted(one))}"
    for names in (one, some):
        if names and not (given | unknown) & names:
            yield f"one is to be set of {', '.join(sorted(names))}"


def _value(path: str, fact: dict[str, Any], value: Any) -> Iterator[str]:
    if "values" in fact and value not in fact["values"]:
        yield f"{path} is {value!r}; allowed are {', '.join(fact['values'])}"
    if "pattern" in fact and not re.search(fact["pattern"], value):
        yield f"{path} is {value!r}, which does not match {fact['pattern']}"
    if "range" in fact and not fact["range"][0] <= value <= fact["range"][1]:
        yield f"{path} is {value}; it must be {fact['range'][0]:g} to {fact['range'][1]:g}"
