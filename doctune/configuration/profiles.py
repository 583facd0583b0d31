"""Machine profiles: named machines, such as `standard-l4`, that steps refer to."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

# The settings that a profile stands for, and where in vertex_config.yaml they go.
STEPS = ("documents", "training", "ops")
_ENDPOINT_FIELDS = ("machine_type", "accelerator_type", "accelerator_count")


class Machine(BaseModel):
    """A machine type, and the limits of a container on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine_type: str = Field(
        "", description="Machine of Compute Engine; empty for the cheapest that fits."
    )
    cpu_limit: str = Field("4", pattern=r"^\d+(\.\d+)?m?$")
    memory_limit: str = Field("16G", pattern=r"^\d+(\.\d+)?([KMGT]i?)?$")
    accelerator_type: str = Field("", description="Such as NVIDIA_L4; empty for none.")
    accelerator_count: int = Field(0, ge=0, le=16)

    @model_validator(mode="after")
    def _accelerators_have_a_type(self) -> "Machine":
        # Vertex AI drops a number of accelerators without a type and says nothing
        # (kubeflow/pipelines issue 11374).
        if self.accelerator_count and not self.accelerator_type:
            raise ValueError("accelerator_count needs accelerator_type, such as NVIDIA_L4")
        return self


def with_profiles(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of vertex_config.yaml with the values of named profiles filled in.

    Values of the step or the endpoint itself override its profile.

    Raises:
        ValueError: There is no such profile.
    """
    filled = dict(settings)
    profiles = settings.get("profiles") or {}
    machines = dict(settings.get("machines") or {})
    for step in STEPS:
        if isinstance(machines.get(step), Mapping):
            machines[step] = _filled(f"machines.{step}", machines[step], profiles)
    if machines:
        filled["machines"] = machines
    if isinstance(settings.get("endpoint"), Mapping):
        filled["endpoint"] = _filled("endpoint", settings["endpoint"], profiles, _ENDPOINT_FIELDS)
    return filled


def _filled(
    key: str,
    section: Mapping[str, Any],
    profiles: Mapping[str, Any],
    fields: tuple[str, ...] = tuple(Machine.model_fields),
) -> dict[str, Any]:
    name = section.get("profile")
    if not name:
        return dict(section)
    if not isinstance(profiles.get(name), Mapping):
        known = ", ".join(sorted(profiles)) or "none; write them under profiles"
        raise ValueError(f"{key}.profile: there is no profile {name!r}; there are {known}")
    values = {field: value for field, value in profiles[name].items() if field in fields}
    return {**values, **section}
