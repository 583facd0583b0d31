"""REST routes: map an HTTP method and a path to an RPC and the fields in the path."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from doctune.localvertex.api.table import Method

_PART = re.compile(r"([^{]+)|\{([^}]+)\}")


@dataclass(frozen=True)
class Route:
    """A REST binding of a method."""

    method: Method
    pattern: re.Pattern[str]
    fields: tuple[str, ...]
    body: str


class Router:
    """Finds the route of a request.

    Routes are kept by HTTP method, API version and custom verb (what follows the last colon), so
    that only a few dozen patterns are tried a request.
    """

    def __init__(self, methods: Iterable[Method]) -> None:
        self._routes: dict[tuple[str, str, str], list[Route]] = defaultdict(list)
        for method in methods:
            for verb, uri, body in method.routes:
                pattern, fields = _compile(uri)
                self._routes[verb, *_shape(uri)].append(Route(method, pattern, fields, body))

    def find(self, verb: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Returns the route and the values of the fields in the path; None where there is none."""
        for route in self._routes.get((verb, *_shape(path)), ()):
            match = route.pattern.fullmatch(path)
            if match:
                return route, dict(zip(route.fields, match.groups(), strict=True))
        return None


def _shape(path: str) -> tuple[str, str]:
    last = path.rpartition("/")[2]
    verb = last.rpartition(":")[2] if ":" in last.rpartition("}")[2] else ""
    return path.split("/", 2)[1], verb


def _compile(uri: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    fields, pattern = [], ""
    for literal, variable in _PART.findall(uri):
        if literal:
            pattern += re.escape(literal)
            continue
        field, _, template = variable.partition("=")
        fields.append(field)
        value = re.escape(template or "*").replace(r"\*\*", ".+").replace(r"\*", "[^/:]+")
        pattern += f"({value})"
    return re.compile(pattern), tuple(fields)
