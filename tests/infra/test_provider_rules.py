"""The rules of Google's provider that are checked beside Terraform's own."""

from typing import Any

import msgpack
import pytest

from tests.infra.provider_rules import problems

UNKNOWN = msgpack.ExtType(0, b"\0")
FACTS: dict[str, Any] = {
    "color": {"kind": "string", "use": "optional", "values": ["RED", "BLUE"]},
    "name": {"kind": "string", "use": "optional", "pattern": "^[a-z]+$", "with": ["color"]},
    "size": {"kind": "number", "use": "optional", "range": [1, 5]},
    "push": {
        "kind": "list",
        "use": "optional",
        "not_with": ["size"],
        "block": {
            "branch": {
                "kind": "string",
                "use": "optional",
                "one_of": ["push.0.branch", "push.0.tag"],
            },
            "tag": {"kind": "string", "use": "optional"},
        },
    },
}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"color": "GREEN"}, "color is 'GREEN'; allowed are RED, BLUE"),
        ({"color": "RED", "name": "A1"}, "name is 'A1', which does not match ^[a-z]+$"),
        ({"name": "a"}, "name needs color"),
        ({"size": 6}, "size is 6; it must be 1 to 5"),
        ({"size": 2, "push": [{"tag": "v1"}]}, "push excludes size"),
        ({"push": [{}]}, "one is to be set of push.0.branch, push.0.tag"),
        (
            {"push": [{"branch": "main", "tag": "v1"}]},
            "only one is to be set of push.0.branch, push.0.tag",
        ),
    ],
)
def test_what_the_provider_refuses(config: dict[str, Any], said: str) -> None:
    assert list(problems(FACTS, config)) == [said]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"color": "RED", "name": "a", "size": 5},
        {"color": UNKNOWN, "name": "a"},
        {"push": [{"branch": "main"}, {"branch": None, "tag": None}]},
        {"push": [{"branch": UNKNOWN, "tag": "v1"}]},
        {"size": UNKNOWN, "push": [{"tag": "v1"}]},
    ],
)
def test_what_it_takes(config: dict[str, Any]) -> None:
    assert list(problems(FACTS, config)) == []
