"""The price table, config/prices.yaml: edit it when prices change."""

import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from doctune.configuration.profiles import Machine
from doctune.configuration.settings import config_folder
from doctune.configuration.yaml_file import read_yaml_file
from doctune.errors import ConfigurationError

PRICES_FILE = "prices.yaml"

_BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BYTES |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MachinePrice(_Section):
    """One machine type of Compute Engine."""

    cpus: float = Field(gt=0)
    memory_gb: float = Field(gt=0)
    accelerator: str = Field("", description="Accelerators that are part of the machine.")
    accelerators: int = Field(0, ge=0)
    hour: float = Field(ge=0, description="Compute Engine's on-demand price per hour.")

    @model_validator(mode="after")
    def _accelerators_are_named(self) -> "MachinePrice":
        if bool(self.accelerator) != bool(self.accelerators):
            raise ValueError("accelerator and accelerators belong together")
        return self


class PriceTable(_Section):
    """Prices of machines in a region on a date."""

    date: datetime.date
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    region: str
    stale_after_days: int = Field(180, ge=1)
    vertex_fee: float = Field(ge=0, le=1)
    pipeline_run: float = Field(ge=0)
    machines: dict[str, MachinePrice] = Field(min_length=1)
    accelerators: dict[str, float] = Field(default_factory=dict)

    def age_days(self, today: datetime.date) -> int:
        """Returns the days since the prices were looked up."""
        return (today - self.date).days

    def machine_for(self, machine: Machine) -> str:
        """Returns the machine type that a step or an endpoint runs on.

        The named machine type, or the cheapest with enough CPUs, memory and accelerators.

        Raises:
            ConfigurationError: No machine in the table is large enough.
        """
        if machine.machine_type:
            if machine.machine_type not in self.machines:
                raise ConfigurationError(
                    f"{PRICES_FILE} has no machine {machine.machine_type}: add its cpus, "
                    "memory_gb and hour under machines."
                )
            return machine.machine_type
        fitting = [name for name, price in self.machines.items() if _fits(machine, price)]
        if not fitting:
            raise ConfigurationError(
                f"no machine of {PRICES_FILE} has {machine.cpu_limit} CPUs, "
                f"{machine.memory_limit} and {_accelerators(machine)}: name a profile or a "
                "machine_type, or add such a machine."
            )
        return min(fitting, key=lambda name: self.machines[name].hour)

    def hour(self, machine: Machine) -> float:
        """Returns the hourly price of a machine on Vertex AI, including its management fee.

        Raises:
            ConfigurationError: The table lacks the machine or its accelerators.
        """
        name = self.machine_for(machine)
        price = self.machines[name]
        attached = 0.0
        if machine.accelerator_type and price.accelerator != machine.accelerator_type:
            if machine.accelerator_type not in self.accelerators:
                raise ConfigurationError(
                    f"{PRICES_FILE} has no price of {machine.accelerator_type} beside {name}: add "
                    "it under accelerators, or name a machine that has it."
                )
            attached = accelerator_count(machine) * self.accelerators[machine.accelerator_type]
        return (price.hour + attached) * (1 + self.vertex_fee)


def accelerator_count(machine: Machine) -> int:
    """Returns how many accelerators a machine has: one if only the type is given."""
    return (machine.accelerator_count or 1) if machine.accelerator_type else 0


def cpus(machine: Machine) -> float:
    """Returns a CPU limit as a number: "500m" is 0.5."""
    limit = machine.cpu_limit
    return float(limit[:-1]) / 1000 if limit.endswith("m") else float(limit)


def memory_gb(machine: Machine) -> float:
    """Returns a memory limit in units of 10^9 bytes."""
    number = machine.memory_limit.rstrip("KMGTi")
    return float(number) * _BYTES[machine.memory_limit[len(number) :]] / 10**9


def load_prices(folder: Path | None = None) -> PriceTable:
    """Reads prices.yaml of the configuration folder.

    Raises:
        ConfigurationError: The file is missing or not YAML, or a value in it is wrong.
    """
    path = (folder or config_folder()) / PRICES_FILE
    if not path.is_file():
        raise ConfigurationError(f"{path} is missing: it must hold the prices of machines.")
    try:
        return PriceTable.model_validate(read_yaml_file(path))
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
        raise ConfigurationError(f"{path}: {'; '.join(problems)}.") from error


def _fits(machine: Machine, price: MachinePrice) -> bool:
    return (
        price.cpus >= cpus(machine)
        # Compute Engine's memory is in GiB; a limit in GB of the same number is below it.
        and price.memory_gb >= memory_gb(machine)
        and price.accelerator == machine.accelerator_type
        and price.accelerators >= accelerator_count(machine)
    )


def _accelerators(machine: Machine) -> str:
    if not machine.accelerator_type:
        return "no accelerator"
    return f"{accelerator_count(machine)} x {machine.accelerator_type}"
