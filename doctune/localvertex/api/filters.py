"""List requests: filter, order_by and paging, as in Vertex AI.

The filter language is the part of AIP-160 that Vertex documents: comparisons joined by AND, OR and
NOT with parentheses, `:` for "contains" (with * as wildcard; on a map or a list, membership),
nested fields by dots, and `in_context("...")` of the metadata service.
"""

import base64
import binascii
import fnmatch
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from google.protobuf import descriptor

from doctune.localvertex.api.codec import Document, snake_case
from doctune.localvertex.api.errors import invalid

Predicate = Callable[[Document], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"""|(?P<operator><=|>=|!=|=|<|>|:|\(|\)|,)|(?P<word>[^\s()=<>!:,"']+))"""
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_MAX_PAGE = 1000


def parse_filter(text: str, message: descriptor.Descriptor) -> Predicate:
    """Parses a filter into a predicate on resources of a type.

    Raises:
        ApiError: INVALID_ARGUMENT for a syntax error or a field that the type does not have.
    """
    if not text.strip():
        return lambda _: True
    return _Parser(text, message).parse()


# Names in filters that differ from the message's fields.
_OTHERWISE_NAMED = {
    ("PipelineJob", "pipeline_name"): ["pipeline_spec", "pipelineInfo", "name"],
}


class _Parser:
    def __init__(self, text: str, message: descriptor.Descriptor) -> None:
        self._text, self._message = text, message
        self._tokens = list(_tokens(text))
        self._at = 0

    def parse(self) -> Predicate:
        predicate = self._either()
        if self._at < len(self._tokens):
            raise self._error()
        return predicate

    def _either(self) -> Predicate:
        options = [self._all()]
        while self._take_word("OR"):
            options.append(self._all())
        return lambda document: any(option(document) for option in options)

    def _all(self) -> Predicate:
        terms = [self._term()]
        while self._take_word("AND") or self._starts_term():
            terms.append(self._term())
        return lambda document: all(term(document) for term in terms)

    def _starts_term(self) -> bool:
        kind, value = self._peek()
        return (kind == "word" and value != "OR") or value == "("

    def _term(self) -> Predicate:
        if self._take_word("NOT"):
            negated = self._term()
            return lambda document: not negated(document)
        if self._take("("):
            inner = self._either()
            self._expect(")")
            return inner
        kind, field = self._next()
        if kind not in ("word", "string"):
            raise self._error()
        if field == "in_context" and self._take("("):
            value = self._value()
            self._expect(")")
            return lambda document: value in document.get("contexts_", ())
        kind, operator = self._next()
        if kind != "operator" or operator in "(),":
            raise self._error()
        return self._comparison(field, operator, self._value())

    def _comparison(self, field: str, operator: str, value: str) -> Predicate:
        path = [snake_case(part) if at == 0 else part for at, part in enumerate(field.split("."))]
        path = _OTHERWISE_NAMED.get((self._message.name, path[0]), path)
        root = self._message.fields_by_name.get(path[0])
        if root is None and path[0] not in ("model", "contexts_"):
            raise invalid(
                f"Invalid filter {self._text!r}: {self._message.name} has no field {path[0]!r}."
            )
        if operator == ":":
            return lambda document: _contains(_lookup(document, path), value)
        compare = _COMPARISONS[operator]
        enum = root.enum_type if root is not None and root.enum_type else None
        default = enum.values[0].name if enum else None

        def predicate(document: Document) -> bool:
            found = _lookup(document, path)
            if path[0] in ("model", "endpoint", "name") and "/" not in value and found is not None:
                found = str(found).rpartition("/")[2]
            if found is None:
                found = default
            if enum and value.isdecimal():
                found = str(enum.values_by_name[str(found)].number)
            return _compare(compare, operator, found, value)

        return predicate

    def _value(self) -> str:
        kind, value = self._next()
        if kind not in ("word", "string"):
            raise self._error()
        return value

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _take(self, operator: str) -> bool:
        if self._peek() == ("operator", operator):
            self._at += 1
            return True
        return False

    def _take_word(self, word: str) -> bool:
        if self._peek() == ("word", word):
            self._at += 1
            return True
        return False

    def _expect(self, operator: str) -> None:
        if not self._take(operator):
            raise self._error()

    def _error(self) -> Exception:
        return invalid(f"Invalid filter {self._text!r}: it does not parse.")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise invalid(f"Invalid filter {text!r}: it does not parse.")
        value = match[match.lastgroup]
        if match.lastgroup == "string":
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        yield match.lastgroup, value
        at = match.end()


def _lookup(document: Any, path: Sequence[str]) -> Any:
    for at, part in enumerate(path):
        if not isinstance(document, dict):
            return None
        rest = ".".join(path[at:])
        if rest in document:  # a label's key may itself hold dots
            return document[rest]
        document = document.get(part)
    return document


def _contains(found: Any, value: str) -> bool:
    if found is None:
        return False
    if value == "*":
        return True
    if isinstance(found, (dict, list)):
        return value in found
    return fnmatch.fnmatchcase(str(found), value if "*" in value else f"*{value}*")


def _compare(compare: Callable[[Any, Any], bool], operator: str, found: Any, value: str) -> bool:
    if found is None:
        return (operator == "!=") if value else (operator == "=")
    if isinstance(found, bool):
        return compare(str(found).lower(), value.lower())
    left, right = _comparable(found), _comparable(value)
    if type(left) is not type(right):
        left, right = str(found), value
    return compare(left, right)


def _comparable(value: Any) -> Any:
    text = str(value)
    for convert in (float, datetime.fromisoformat):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def order(documents: list[Document], order_by: str) -> list[Document]:
    """Sorts resources by a comma-separated list of fields, each with an optional `desc`."""
    for clause in reversed([part.strip() for part in order_by.split(",") if part.strip()]):
        field, *direction = clause.split()
        if direction not in ([], ["asc"], ["desc"]):
            raise invalid(f"Invalid order_by {order_by!r}.")
        path = [snake_case(part) for part in field.split(".")]
        documents = sorted(
            documents,
            key=lambda document, path=path: _sort_key(_lookup(document, path)),  # type: ignore[misc]
            reverse=direction == ["desc"],
        )
    return documents


def _sort_key(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, ""
    return (1, value) if isinstance(value, (int, float)) else (2, str(value))


def page(documents: list[Document], page_size: int, page_token: str) -> tuple[list[Document], str]:
    """Returns one page and the token of the next ("" at the end).

    Raises:
        ApiError: INVALID_ARGUMENT for a negative size or a token that was not given out.
    """
    if page_size < 0:
        raise invalid("page_size must not be negative.")
    size = min(page_size or 100, _MAX_PAGE)
    start = 0
    if page_token:
        try:
            start = int(json.loads(base64.urlsafe_b64decode(page_token))["start"])
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise invalid("Invalid page_token.") from error
    end = start + size
    token = json.dumps({"start": end}).encode() if end < len(documents) else b""
    return documents[start:end], base64.urlsafe_b64encode(token).decode()
