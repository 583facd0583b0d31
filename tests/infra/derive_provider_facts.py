"""Derive which arguments Google's Terraform provider knows, from a checkout of its sources.

    python tests/infra/derive_provider_facts.py PATH_OF_CHECKOUT VERSION

It writes provider_facts.json beside this file: for each resource type and data source that infra/
uses, the names, types and obligations of its arguments. The provider itself is not needed: its
schemas are Go literals, and the little that is read of them here is names and flags. What cannot
be read is an error, so that nothing is left out unseen.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

HERE = Path(__file__).parent
INFRA = HERE.parents[1] / "infra"
FACTS = HERE / "provider_facts.json"

_KINDS = {
    "TypeString": "string",
    "TypeBool": "bool",
    "TypeInt": "number",
    "TypeFloat": "number",
    "TypeMap": "map",
    "TypeList": "list",
    "TypeSet": "set",
}
_COMPANY = {
    "ConflictsWith": "not_with",
    "RequiredWith": "with",
    "ExactlyOneOf": "one_of",
    "AtLeastOneOf": "some_of",
}
_OPENING, _CLOSING = "{([", "})]"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("version", help="Its tag, such as 7.45.0.")
    options = parser.parse_args()
    provider = Provider(options.checkout)
    facts: dict[str, Any] = {"provider": "hashicorp/google", "version": options.version}
    for section in ("resource", "data"):
        facts[section] = {
            name: provider.schema(name, section) for name in sorted(used_types(INFRA, section))
        }
    FACTS.write_text(lines(facts))
    return 0


def lines(facts: dict[str, Any]) -> str:
    """Returns JSON with a line for each type, so that a change of one is a change of one line."""
    parts = [f'"{key}": {json.dumps(facts[key])}' for key in ("provider", "version")]
    for section in ("data", "resource"):
        rows = ",\n".join(
            f'"{name}": {json.dumps(fact, sort_keys=True, separators=(",", ":"))}'
            for name, fact in facts[section].items()
        )
        parts.append(f'"{section}": {{\n{rows}\n}}')
    return "{" + ",\n".join(parts) + "}\n"


def used_types(folder: Path, section: str) -> set[str]:
    """Returns the resource types ("resource") or data sources ("data") of all .tf files."""
    found: set[str] = set()
    for path in folder.rglob("*.tf"):
        for block in hcl2.loads(path.read_text()).get(section, []):
            found |= {name.strip('"') for name in block}
    return {name for name in found if name.startswith("google_")}


class Provider:
    """The schemas in a checkout of the provider."""

    def __init__(self, checkout: Path) -> None:
        self._sources = {
            path: path.read_text()
            for path in sorted((checkout / "google").rglob("*.go"))
            if not path.name.endswith("_test.go")
        }

    def schema(self, name: str, section: str) -> dict[str, Any]:
        """Returns {argument: facts} of one resource type or data source."""
        kinds = {"resource": "SchemaTypeResource|SchemaTypeIAMResource", "data": "\\w*DataSource"}
        pattern = re.compile(
            rf'Name:\s+"{name}",\s+ProductName:\s+"\w+",\s+'
            rf"Type:\s+registry\.({kinds[section]}),\s+Schema:\s+(.+),\n"
        )
        for path, text in self._sources.items():
            if match := pattern.search(text):
                return self._resource_call(match[2], path)
        raise LookupError(f"no {section} {name} is registered in the checkout")

    def _resource_call(self, call: str, path: Path) -> dict[str, Any]:
        if not call.startswith("tpgiamresource."):
            name = call.split("(")[0].split(".")[-1]
            body, path = self._function_body(name, path)
            inner = re.search(r"return (tpgiamresource\.\w+\(\s*\w+)", body)
            if not inner:
                return self._function_schema(name, path)
            call = inner[1]
        kind, parent = re.findall(r"\w+", call)[1:3]
        base = {"ResourceIamMember": "IamMemberBaseSchema"}.get(kind, "iamAuditConfigSchema")
        return self._variable(base) | self._variable(parent)

    def _variable(self, name: str) -> dict[str, Any]:
        pattern = re.compile(
            rf"\bvar {name}\b[^=]*= (?:&schema\.Resource\{{\s+Schema: )?"
            r"map\[string\]\*schema\.Schema(?=\{)"
        )
        for path, text in self._sources.items():
            if match := pattern.search(text):
                return self._attributes(literal(text, match.end()), path)
        raise LookupError(f"no variable {name}")

    @cache  # noqa: B019 - the object lives as long as the program
    def _function_body(self, name: str, near: Path) -> tuple[str, Path]:
        beside = [path for path in self._sources if path.parent == near.parent]
        for path in [near, *beside, *self._sources]:
            if match := re.search(rf"^func {name}\([^{{]*(?=\{{\n)", self._sources[path], re.M):
                return literal(self._sources[path], match.end()), path
        raise LookupError(f"no function {name}")

    def _function_schema(self, name: str, near: Path) -> dict[str, Any]:
        body, path = self._function_body(name, near)
        match = re.search(
            r"^\t(?:\tSchema:\s+|return )map\[string\]\*schema\.Schema(?=\{)", body, re.M
        )
        if match:
            return self._attributes(literal(body, match.end()), path)
        if "DatasourceSchemaFromResourceSchema(" in body:
            return self._data_source(body, path)
        if match := re.search(r"\bSchema:\s+(\w+)(\(\))?,", body):
            schema = self._function_schema(match[1], path) if match[2] else self._variable(match[1])
            return schema | self._additions(body, path)
        raise LookupError(f"the schema of {name} is not a literal")

    def _additions(self, body: str, path: Path) -> dict[str, Any]:
        return {
            match[1]: self._attribute(literal(body, match.end()), path)
            for match in re.finditer(r'\.Schema\["(\w+)"\] = &schema\.Schema(?=\{)', body)
        }

    def _data_source(self, body: str, path: Path) -> dict[str, Any]:
        call = re.search(r"FromResourceSchema\((?:\w+\.)?(\w+)\(\)\.Schema\)", body)
        assert call, body
        schema = self._function_schema(call[1], path)
        for fact in schema.values():
            fact["use"] = "computed"
        added = re.findall(
            r"Add(Required|Optional)FieldsToSchema\(\w+, ((?:\"\w+\"(?:, )?)+)\)", body
        )
        for use, names in added:
            for name in re.findall(r'"(\w+)"', names):
                schema[name]["use"] = use.lower()
        return schema

    def _attributes(self, body: str, path: Path) -> dict[str, Any]:
        found = {}
        for key, value in entries(body):
            name = key.strip('"')
            if not value.startswith("{"):
                value = self._schema_of_call(value, path)
            found[name] = self._attribute(value, path)
        return found

    def _schema_of_call(self, value: str, path: Path) -> str:
        if "schema.Schema{" in value:
            return value[value.index("schema.Schema{") + len("schema.Schema") :]
        body, _ = self._function_body(value.split("(")[0].split(".")[-1], path)
        match = re.search(r"&schema\.Schema(?=\{)", body)
        if not match:
            raise LookupError(f"{value} is not a literal")
        return literal(body, match.end())

    def _attribute(self, value: str, path: Path) -> dict[str, Any]:
        fields = dict(entries(value))
        kind = _KINDS[fields["Type"].removeprefix("schema.")]
        use = "required" if fields.get("Required") == "true" else "computed"
        if fields.get("Optional") == "true":
            use = "optional"
        fact: dict[str, Any] = {"kind": kind, "use": use}
        if use == "optional" and fields.get("Computed") == "true":
            fact["computed"] = True
        if fields.get("Removed") or fields.get("Deprecated"):
            fact["deprecated"] = True
        if "MaxItems" in fields:
            fact["most"] = int(fields["MaxItems"])
        fact |= allowed(fields.get("ValidateFunc", "")) | self._company(fields, path)
        element = fields.get("Elem", "")
        if kind in ("map", "list", "set"):
            inner_kind = re.search(r"schema\.Schema\{\s*Type:\s+schema\.(\w+)", element)
            fact["of"] = _KINDS[inner_kind[1]] if inner_kind else "string"
        if "schema.Resource{" in element:
            inner = dict(
                entries(element[element.index("schema.Resource{") + len("schema.Resource") :])
            )
            schema = inner["Schema"]
            fact["block"] = self._attributes(schema[schema.index("{") :], path)
        elif element and "schema.Schema{" not in element:
            fact |= self._named_element(element, path)
        return fact

    def _company(self, fields: dict[str, str], path: Path) -> dict[str, Any]:
        """Returns which other arguments an argument excludes or needs."""
        found = {}
        for field, name in _COMPANY.items():
            value = fields.get(field, "")
            if re.fullmatch(r"\w+", value):
                texts = [self._sources[p] for p in self._sources if p.parent == path.parent]
                lists = (re.search(rf"\b{value}\s+= (\[\]string\{{[^}}]*\}})", t) for t in texts)
                value = next(match[1] for match in lists if match)
            if names := re.findall(r'"([^"]*)"', value):
                found[name] = names
        return found

    def _named_element(self, element: str, path: Path) -> dict[str, Any]:
        name = element.split("(")[0].split(".")[-1]
        if "(" not in element:
            return {"block": self._variable(name)}
        _, home = self._function_body(name, path)
        signature = re.search(rf"^func {name}\(.*", self._sources[home], re.M)
        if signature and "schema.Resource" in signature[0]:
            return {"block": self._function_schema(name, path)}
        return {}


def allowed(check: str) -> dict[str, Any]:
    """Returns what a ValidateFunc allows, where that is a list, a pattern or a range."""
    if enum := re.search(r"(?:ValidateEnum|StringInSlice)\(\[\]string\{([^}]*)\}(, true)?", check):
        return {} if enum[2] else {"values": re.findall(r'"([^"]*)"', enum[1])}
    if pattern := re.search(r"ValidateRegexp\(`([^`]*)`\)", check):
        return {"pattern": pattern[1]}
    if bounds := re.search(r"(?:Int|Float)Between\(([-\d.]+), ([-\d.]+)\)", check):
        return {"range": [float(bounds[1]), float(bounds[2])]}
    return {}


def literal(text: str, start: int) -> str:
    """Returns the bracketed literal that opens at `start`, brackets included."""
    depth = 0
    for index, character in code_characters(text, start):
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
            if depth == 0:
                return text[start : index + 1]
    raise LookupError("a literal does not end")


def entries(body: str) -> Iterator[tuple[str, str]]:
    """Yields key and value of each entry of a Go literal such as {"a": {Type: x}, "b": y}."""
    depth, start, colon = 0, 1, -1
    for index, character in code_characters(body, 0):
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif character == ":" and depth == 1 and colon < 0:
            colon = index
        if (character == "," and depth == 1) or depth == 0:
            if colon >= 0:
                key = re.sub(r"//.*", "", body[start:colon]).strip()
                yield key, re.sub(r"\A(\s*//.*\n)+", "", body[colon + 1 : index]).strip()
            start, colon = index + 1, -1
            if depth == 0:
                return


def code_characters(text: str, start: int) -> Iterator[tuple[int, str]]:
    """Yields position and character from `start` on, without strings' content and comments."""
    index = start
    while index < len(text):
        character = text[index]
        if text.startswith("//", index):
            index = text.index("\n", index)
            continue
        if character in "\"`'":
            end = index + 1
            while text[end] != character:
                end += 2 if text[end] == "\\" and character != "`" else 1
            index = end + 1
            continue
        yield index, character
        index += 1


if __name__ == "__main__":
    sys.exit(main())
