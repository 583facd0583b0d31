"""The parameters that a compiled pipeline declares, and checks of values for them."""

from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


class ParameterError(ValueError):
    """A parameter is unknown, missing or has the wrong type; the message names it."""


def check_parameters(spec: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuses parameter values that Vertex AI would refuse.

    Args:
        spec: The compiled pipeline.

    Raises:
        ParameterError: A parameter is unknown, missing or has the wrong type.
    """
    declared = declared_parameters(spec)
    for name, value in given.items():
        if name not in declared:
            raise ParameterError(
                f"Parameter {name!r} is not an input of the pipeline; it has: "
                f"{', '.join(sorted(declared)) or 'none'}."
            )
        _check_type(name, value, declared[name])
    for name, declaration in declared.items():
        optional = "defaultValue" in declaration or declaration.get("isOptional")
        if name not in given and not optional:
            raise ParameterError(
                f"Parameter {name!r} of the pipeline is required and was not given."
            )


def as_declared(spec: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns values with whole numbers as integers or floats, as the spec declares."""
    casts: dict[str, type] = {"NUMBER_INTEGER": int, "NUMBER_DOUBLE": float}
    declared = declared_parameters(spec)
    return {
        name: casts[kind](value)
        if value is not None and (kind := declared[name].get("parameterType", "")) in casts
        else value
        for name, value in given.items()
    }


def declared_parameters(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the declarations of a pipeline's parameters by name."""
    return dict(spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {}))


def _check_type(name: str, value: Any, declaration: Mapping[str, Any]) -> None:
    wanted = declaration.get("parameterType", "")
    if value is None and declaration.get("isOptional"):
        return
    allowed = _TYPES.get(wanted)
    right = allowed is None or (
        isinstance(value, allowed) and (wanted == "BOOLEAN" or not isinstance(value, bool))
    )
    if right and wanted == "NUMBER_INTEGER":
        right = float(value).is_integer()
    if not right:
        raise ParameterError(f"Parameter {name!r} must be of type {wanted}; it is {value!r}.")
