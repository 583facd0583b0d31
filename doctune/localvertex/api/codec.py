"""Converts messages to documents and back.

A document is the JSON form of a message as a dict: original field names (snake case), enum values
by name, times as RFC 3339 strings. State is kept, and handlers work, on documents, so that v1 and
v1beta1 callers see the same resources.
"""

import re
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from doctune.localvertex.api.errors import invalid
from doctune.localvertex.api.table import Table

Document = dict[str, Any]

_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")


def snake_case(name: str) -> str:
    """Converts camel case to snake case: trafficSplit to traffic_split."""
    return _CAPITAL.sub(lambda match: f"_{match[1].lower()}", name)


class Codec:
    """Converts between bytes, messages, JSON and documents, for the types of a method table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def document(self, value: Message) -> Document:
        """Returns a message as a document; a field mask becomes a list of snake-case paths."""
        mask: list[str] | None = None
        if "update_mask" in value.DESCRIPTOR.fields_by_name:
            # Clients send either case, and json_format cannot print paths with capitals.
            mask = [snake_case(path) for path in value.update_mask.paths]
            value = type(value).FromString(value.SerializeToString())
            value.ClearField("update_mask")
        document = json_format.MessageToDict(
            value, preserving_proto_field_name=True, descriptor_pool=self._table.pool
        )
        if mask is not None:
            document["update_mask"] = mask
        return document

    def message(self, full_name: str, document: Document) -> Message:
        """Returns a document as a message.

        Fields that this version of the type does not have are left out: the resource may have been
        written through the other version.
        """
        return json_format.ParseDict(
            document,
            self._table.message_class(full_name)(),
            ignore_unknown_fields=True,
            descriptor_pool=self._table.pool,
        )

    def parse_json(self, text: bytes | str, into: Message) -> None:
        """Reads a request's JSON into a message.

        Raises:
            ApiError: INVALID_ARGUMENT, naming the field, as Vertex does.
        """
        try:
            json_format.Parse(text, into, descriptor_pool=self._table.pool)
        except json_format.ParseError as error:
            raise invalid(f"Invalid JSON payload received. {error}") from error

    def merge_query(self, query: Document, into: Message) -> None:
        """Reads a request's query parameters into a message.

        Raises:
            ApiError: INVALID_ARGUMENT for an unknown name or a bad value.
        """
        try:
            json_format.ParseDict(query, into, descriptor_pool=self._table.pool)
        except json_format.ParseError as error:
            raise invalid(f"Invalid query parameter. {error}") from error

    def json(
        self, value: Message, *, enums_as_numbers: bool = False, indent: int | None = None
    ) -> str:
        """Returns a message as REST's JSON."""
        return json_format.MessageToJson(
            value,
            use_integers_for_enums=enums_as_numbers,
            indent=indent,
            descriptor_pool=self._table.pool,
        )
