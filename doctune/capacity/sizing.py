"""Recommends machine, replicas and cost for a load and objectives.

CPU machines are sized from a measurement of this model: the rate at which the objectives held,
scaled to the cores of each machine. GPU machines that were not measured are estimated from a
published speed, scaled by memory bandwidth and by the model's parameters; they are marked as
estimates, with source and date.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from doctune.capacity.measure import Measurement
from doctune.capacity.slo import Slo
from doctune.compute.costs import HOURS_A_MONTH
from doctune.compute.prices import PriceTable, accelerator_count
from doctune.configuration.profiles import Machine
from doctune.configuration.serving import Engine
from doctune.errors import UsageError

# Planned utilisation of a replica, since arrivals fluctuate around the mean.
UTILIZATION = 0.7
_HEADROOM = 2  # most replicas over those that the load needs

# Twice the cores gave 1.73 times the tokens (102 of 59, native engine at 16 at once, 2026-11-27).
# On a cloud CPU, two of whose vCPUs share a core, a vCPU counts half of a measured one.
_SCALING_PER_DOUBLING = 1.73
_CPU_ERROR = 0.4  # share by which a CPU row may be off, measured on another machine


@dataclass(frozen=True)
class GpuSpeed:
    """An accelerator's memory bandwidth, which bounds decoding, and its memory."""

    bandwidth: float  # GB a second
    memory: float  # GB


# From the manufacturers' data sheets, read on 2026-11-27.
_GPUS: Mapping[str, GpuSpeed] = {
    "NVIDIA_L4": GpuSpeed(300, 24),
    "NVIDIA_TESLA_A100": GpuSpeed(1555, 40),
    "NVIDIA_A100_80GB": GpuSpeed(2039, 80),
    "NVIDIA_H100_80GB": GpuSpeed(3350, 80),
}
_PUBLISHED_TOKENS, _PUBLISHED_PARAMETERS = 14_540, 8.2e9
_PUBLISHED_ON = "NVIDIA_H100_80GB"
_GPU_SOURCE = (
    "published: vLLM, Qwen3-8B, bfloat16, one H100, 14,540 tokens/s at p99 2 s to the first token; "
    "read 2026-11-27; scaled by memory bandwidth and parameters"
)
_GPU_ERROR = 1.0  # a factor of two
# Small models are not faster without limit: each step of vLLM has a fixed cost, here assumed to be
# 4 ms for 256 rows.
_MOST_GPU_TOKENS = 256 / 0.004


@dataclass(frozen=True, kw_only=True)
class Size:
    """A machine for the load."""

    profile: str
    machine_type: str
    accelerator_type: str
    accelerator_count: int
    engine: str
    precision: str
    measured: bool
    source: str
    error: float  # share by which the rate may be off
    rate: float  # requests a second of one replica within the objectives
    replicas: int
    max_replicas: int
    scale_on: str  # what autoscaling watches
    scale_at: int  # percent of it
    month: float
    per_million_tokens: float
    per_thousand_answers: float
    fits: bool
    reason: str = ""  # why it does not fit


def size(
    measurement: Measurement,
    profiles: Mapping[str, Machine],
    prices: PriceTable,
    load: float,
) -> list[Size]:
    """Returns every profile for a load, those that fit first, the cheapest of them first.

    Args:
        load: Requests per second.

    Raises:
        ConfigurationError: The price table lacks a machine.
    """
    sizes = [
        _of_gpu(name, machine, measurement, prices, load)
        if machine.accelerator_type
        else _of_cpu(name, machine, measurement, prices, load)
        for name, machine in profiles.items()
    ]
    return sorted(sizes, key=lambda one: (not one.fits, one.month, one.machine_type))


def check_slo(measurement: Measurement, slo: Slo) -> None:
    """Refuses a measurement that was made against other objectives.

    Raises:
        UsageError: The objectives differ.
    """
    if measurement.slo != str(slo):
        raise UsageError(
            f"the measurement is of {measurement.slo}, not of {slo}: measure again with "
            f"`doctune bench endpoint --slo {slo}`."
        )


def _of_cpu(
    name: str, machine: Machine, measured: Measurement, prices: PriceTable, load: float
) -> Size:
    kind = prices.machine_for(machine)
    same = kind == measured.machine
    cores = prices.machines[kind].cpus / (1 if same else 2)
    doublings = math.log2(max(cores, 0.5) / max(measured.cpus, 1))
    rate = measured.capacity * (1.0 if same else _SCALING_PER_DOUBLING**doublings)
    reason = "" if rate else "the objectives do not hold at the lowest rate that was measured"
    need = 2.5 * 4 * measured.parameters / 1e9  # float32, and room to load it
    if measured.parameters and need > prices.machines[kind].memory_gb:
        reason = f"needs about {need:.0f} GB of memory"
    source = f"measured {measured.date} on {measured.machine} ({measured.cpus} cores)"
    if not same:
        source += f", scaled to {cores:g} cores (1.73 times a doubling; two vCPUs are a core)"
    return _sized(
        name,
        machine,
        prices,
        load,
        rate,
        measured,
        engine=measured.engine,
        precision=measured.precision,
        measured=same,
        source=source,
        error=0.0 if same else _CPU_ERROR,
        reason=reason,
    )


def _of_gpu(
    name: str, machine: Machine, measured: Measurement, prices: PriceTable, load: float
) -> Size:
    gpu = _GPUS.get(machine.accelerator_type)
    reason, rate = "", 0.0
    if gpu is None:
        reason = f"no speed is known of {machine.accelerator_type}"
    elif not measured.parameters:
        reason = "the model's parameters are not known: give --parameters to the benchmark"
    else:
        count = accelerator_count(machine)
        need = 2 * measured.parameters / 1e9 * 1.3  # bfloat16, and room for the cache
        if need > gpu.memory * count:
            reason = f"needs about {need:.0f} GB of GPU memory"
        share = gpu.bandwidth / _GPUS[_PUBLISHED_ON].bandwidth
        tokens = min(
            _PUBLISHED_TOKENS * share * _PUBLISHED_PARAMETERS / measured.parameters,
            _MOST_GPU_TOKENS * share,
        )
        rate = tokens * count / max(measured.alone.completion_tokens, 1.0)
    return _sized(
        name,
        machine,
        prices,
        load,
        rate,
        measured,
        engine="vllm",
        precision="bfloat16",
        measured=False,
        source=_GPU_SOURCE,
        error=_GPU_ERROR,
        reason=reason,
    )


def _sized(
    name: str,
    machine: Machine,
    prices: PriceTable,
    load: float,
    rate: float,
    measurement: Measurement,
    *,
    engine: str,
    precision: str,
    measured: bool,
    source: str,
    error: float,
    reason: str,
) -> Size:
    fits = rate > 0 and not reason
    replicas = max(1, math.ceil(load / (UTILIZATION * rate))) if fits else 0
    month = replicas * prices.hour(machine) * HOURS_A_MONTH
    answers = load * HOURS_A_MONTH * 3600
    tokens = answers * measurement.alone.completion_tokens
    gpu = bool(machine.accelerator_type)
    return Size(
        profile=name,
        machine_type=prices.machine_for(machine),
        accelerator_type=machine.accelerator_type,
        accelerator_count=accelerator_count(machine),
        engine=engine,
        precision=precision,
        measured=measured,
        source=source,
        error=error,
        rate=rate,
        replicas=replicas,
        max_replicas=_HEADROOM * replicas,
        scale_on="accelerator duty cycle" if gpu else "CPU utilization",
        scale_at=round(100 * UTILIZATION),
        month=month,
        per_million_tokens=1e6 * month / tokens if tokens else 0.0,
        per_thousand_answers=1e3 * month / answers,
        fits=fits,
        reason=reason,
    )


def settings_of(chosen: Size) -> dict[str, object]:
    """Returns the content of an environment's vertex_config.yaml for a size."""
    settings: dict[str, object] = {
        "endpoint": {
            "profile": chosen.profile,
            "min_replica_count": chosen.replicas,
            "max_replica_count": chosen.max_replicas,
            "autoscaling_target": chosen.scale_at,
        }
    }
    # The measured server may not be one of ours.
    if chosen.engine in get_args(Engine):
        settings["serving"] = {"engine": chosen.engine}
    return settings
