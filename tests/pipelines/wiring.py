"""Which parameters of a compiled pipeline reach which inputs of its components."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reach:
    """A parameter of a pipeline, and an input of a component that has its value.

    Attributes:
        default: That of the parameter; None for none.
        component_default: That of the component's input; None for none.
    """

    parameter: str
    default: Any
    component: str
    component_input: str
    component_default: Any


def reached_inputs(spec: dict[str, Any]) -> Iterator[Reach]:
    """Yields where each parameter of a compiled spec goes, through parts, loops and conditions."""
    root = spec["root"]
    declared = root.get("inputDefinitions", {}).get("parameters", {})
    yield from _reached(
        spec, root["dag"], {name: (name, value) for name, value in declared.items()}
    )


def _reached(
    spec: dict[str, Any], dag: dict[str, Any], known: dict[str, tuple[str, dict[str, Any]]]
) -> Iterator[Reach]:
    """Yields where the parameters go that `known` has by their name in this DAG."""
    for task in dag["tasks"].values():
        name = task["componentRef"]["name"]
        component = spec["components"][name]
        inputs = component.get("inputDefinitions", {}).get("parameters", {})
        given = {
            key: known[source["componentInputParameter"]]
            for key, source in task.get("inputs", {}).get("parameters", {}).items()
            if source.get("componentInputParameter") in known
        }
        if "dag" in component:
            yield from _reached(spec, component["dag"], given)
            continue
        for key, (parameter, definition) in given.items():
            yield Reach(
                parameter,
                definition.get("defaultValue"),
                name.removeprefix("comp-"),
                key,
                inputs.get(key, {}).get("defaultValue"),
            )


def different_defaults(spec: dict[str, Any]) -> list[str]:
    """Returns a line for each parameter whose default is not that of an input that it reaches."""
    return [
        f"{reach.parameter} = {reach.default!r}, but {reach.component_input} of {reach.component} "
        f"= {reach.component_default!r}"
        for reach in reached_inputs(spec)
        if reach.default is not None
        and reach.component_default is not None
        and reach.default != reach.component_default
    ]
