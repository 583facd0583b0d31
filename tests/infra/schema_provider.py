"""A Terraform provider that knows the schema of Google's and nothing else.

Google's provider cannot be had everywhere. With this one in its place Terraform itself checks every
argument, block, type and reference of infra/, and plans it: what Google would fill in stays
unknown, as it is before an apply. Nothing is ever applied. The schema is provider_facts.json; the
wire is version 5 of Terraform's plugin protocol (docs/plugin-protocol in Terraform's repository).
"""

import json
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import msgpack
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.infra.provider_rules import is_block, problems

FACTS = json.loads((Path(__file__).parent / "provider_facts.json").read_text())

_PROVIDER = {
    name: {"kind": kind, "use": "optional"}
    for name, kind in {
        "project": "string",
        "region": "string",
        "billing_project": "string",
        "user_project_override": "bool",
    }.items()
}
_ID = {"id": {"kind": "string", "use": "computed", "optional": True}}

_UNKNOWN = msgpack.ExtType(0, b"\0")

# Message: (number, name, type) of each field; * is a repeated field, {} a map from strings.
_MESSAGES = {
    "DynamicValue": "1 msgpack bytes, 2 json bytes",
    "Diagnostic": "1 severity int64, 2 summary string, 3 detail string",
    "Attribute": "1 name string, 2 type bytes, 4 required bool, 5 optional bool, 6 computed bool",
    "NestedBlock": "1 type_name string, 2 block Block, 3 nesting int64, 4 min_items int64, "
    "5 max_items int64",
    "Block": "2 attributes *Attribute, 3 block_types *NestedBlock",
    "Schema": "1 version int64, 2 block Block",
    "ResourceSchemasEntry": "1 key string, 2 value Schema",
    "Schemas": "1 provider Schema, 2 resource_schemas *ResourceSchemasEntry, "
    "3 data_source_schemas *ResourceSchemasEntry",
    "Config": "1 config DynamicValue",
    "Typed": "1 type_name string, 2 config DynamicValue",
    "Change": "1 type_name string, 2 prior_state DynamicValue, 3 proposed DynamicValue, "
    "4 config DynamicValue",
    "State": "1 state DynamicValue, 2 diagnostics *Diagnostic",
    "Diagnostics": "1 diagnostics *Diagnostic",
    "Empty": "",
}
_SCALARS = {"bytes": 12, "string": 9, "int64": 3, "bool": 8}


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="p.proto", package="p", syntax="proto3")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for field in filter(None, fields.split(", ")):
            number, name, kind = field.split()
            label, kind = (3, kind[1:]) if kind.startswith("*") else (1, kind)
            added = described.field.add(name=name, number=int(number), label=label)
            if kind in _SCALARS:
                added.type = _SCALARS[kind]
            else:
                added.type, added.type_name = 11, f".p.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"p.{name}"))
        for name in _MESSAGES
    }


M = _messages()


def type_of(fact: dict[str, Any]) -> Any:
    """Returns an attribute's type as Terraform writes it in JSON."""
    if "block" in fact:
        inner = {name: type_of(part) for name, part in fact["block"].items()}
        return [fact["kind"], ["object", inner]]
    return [fact["kind"], fact["of"]] if "of" in fact else fact["kind"]


def block_of(facts: dict[str, Any]) -> Any:
    """Returns the protocol's Block of {argument: facts}."""
    block = M["Block"]()
    for name, fact in facts.items():
        required, optional = fact["use"] == "required", fact["use"] == "optional"
        if is_block(fact):
            block.block_types.add(
                type_name=name,
                block=block_of(fact["block"]),
                nesting=3 if fact["kind"] == "set" else 2,
                min_items=int(required),
                max_items=fact.get("most", 0),
            )
        else:
            block.attributes.add(
                name=name,
                type=json.dumps(type_of(fact)).encode(),
                required=required,
                optional=optional or fact.get("optional", False),
                computed=not required
                and (fact["use"] == "computed" or fact.get("computed", False)),
            )
    return block


def facts_of(section: str, name: str) -> dict[str, Any]:
    return _ID | FACTS[section][name]


def schemas(_: Any) -> Any:
    answer = M["Schemas"](provider=M["Schema"](block=block_of(_PROVIDER)))
    for section, entries in (
        ("resource", answer.resource_schemas),
        ("data", answer.data_source_schemas),
    ):
        for name in FACTS[section]:
            entries.add(key=name, value=M["Schema"](block=block_of(facts_of(section, name))))
    return answer


def decoded(value: Any) -> Any:
    """Returns a DynamicValue as Python data; what is not known yet is an ExtType."""
    return msgpack.unpackb(value.msgpack, raw=False, strict_map_key=False)


def validate(request: Any) -> Any:
    section = "resource" if request.type_name in FACTS["resource"] else "data"
    answer = M["Diagnostics"]()
    for problem in problems(facts_of(section, request.type_name), decoded(request.config)):
        answer.diagnostics.add(severity=1, summary=problem)
    return answer


def plan(request: Any) -> Any:
    state = decoded(request.proposed)
    if state is not None:
        fill(facts_of("resource", request.type_name), state, lambda _: _UNKNOWN)
    return M["State"](state=M["DynamicValue"](msgpack=msgpack.packb(state)))


def read(request: Any) -> Any:
    state = decoded(request.config)
    fill(facts_of("data", request.type_name), state, made_up)
    return M["State"](state=M["DynamicValue"](msgpack=msgpack.packb(state)))


def fill(
    facts: dict[str, Any], state: dict[str, Any], value: Callable[[dict[str, Any]], Any]
) -> None:
    """Gives what only Google can say the `value` of its facts."""
    for name, fact in facts.items():
        if is_block(fact):
            items = state.get(name)
            for item in items if isinstance(items, list) else []:
                fill(fact["block"], item, value)
        elif state.get(name) is None and (fact["use"] == "computed" or fact.get("computed")):
            state[name] = value(fact)


def made_up(fact: dict[str, Any]) -> Any:
    """Returns a value of an argument's type; a data source's are known before an apply."""
    if "of" in fact or "block" in fact:
        return {} if fact["kind"] == "map" else []
    return {"number": 1, "bool": False}.get(fact["kind"], "1")


_METHODS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "GetSchema": ("Empty", schemas),
    "PrepareProviderConfig": ("Config", lambda request: M["State"](state=request.config)),
    "Configure": ("Empty", lambda _: M["Diagnostics"]()),
    "ValidateResourceTypeConfig": ("Typed", validate),
    "ValidateDataSourceConfig": ("Typed", validate),
    "PlanResourceChange": ("Change", plan),
    "ReadDataSource": ("Typed", read),
    "Stop": ("Empty", lambda _: M["Empty"]()),
}


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, stopped: threading.Event) -> None:
        self._stopped = stopped

    def service(self, call: Any) -> Any:
        service, method = call.method.strip("/").split("/")
        if service == "plugin.GRPCController":
            return self._unary("Empty", self._shut_down)
        if service == "tfplugin5.Provider" and method in _METHODS:
            return self._unary(*_METHODS[method])
        return None

    def _unary(self, request: str, answer: Callable[[Any], Any]) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            lambda message, _: answer(message),
            request_deserializer=M[request].FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _shut_down(self, _: Any) -> Any:
        self._stopped.set()
        return M["Empty"]()


def main() -> int:
    stopped = threading.Event()
    server = grpc.server(
        ThreadPoolExecutor(8),
        handlers=[_Handler(stopped)],
        options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"1|5|tcp|127.0.0.1:{port}|grpc\n")
    sys.stdout.flush()
    stopped.wait(timeout=300)
    server.stop(0).wait(timeout=30)
    os._exit(0)


if __name__ == "__main__":
    main()
