"""The section `serving` of vertex_config.yaml: which engine answers, and how it is started."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Engine = Literal["native", "openvino", "vllm"]
# `auto`: openvino for models that it can read, else native; the evaluation finds out.
AUTO: Literal["auto"] = "auto"

# vLLM's shared memory, and the time limit for pulling its image, loading weights and compiling.
_VLLM_SHARED_MEMORY_MB, _VLLM_DEPLOYMENT_SECONDS = 16384, 1800
_VLLM_BATCH_SIZE = 256


class ServingSettings(BaseModel):
    """The model server of the endpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["", "native", "openvino", "vllm"] = Field(
        "",
        description="native, openvino (8 bits, on CPUs) or vllm (on GPUs); empty: vllm where the "
        "endpoint has an accelerator, else openvino for models that it can read, and native.",
    )
    image: str = Field(
        "",
        description="Image that serves; empty: serving of images, or serving-vllm with vllm.",
    )
    max_batch_size: int = Field(
        0, ge=0, le=4096, description="Most answers at once; 0: 16, or 256 with vllm."
    )
    max_model_tokens: int = Field(
        0,
        ge=0,
        description="With vllm: most tokens of prompt and answer; 0: the model's context.",
    )
    quantization: Literal["", "fp8"] = Field(
        "", description="With vllm: fp8 quantizes while loading, on an L4 or H100."
    )


@dataclass(frozen=True, kw_only=True)
class ServingPlan:
    """How the container of a version is started."""

    engine: Engine | Literal["auto"]
    image: str  # empty: the engine's own
    arguments: tuple[str, ...]
    shared_memory_mb: int
    deployment_seconds: int


def serving_plan(settings: ServingSettings, accelerator_type: str) -> ServingPlan:
    """Returns how a model is served on a machine.

    Args:
        accelerator_type: The endpoint's; empty for none.

    Raises:
        ValueError: The engine does not run there.
    """
    engine = settings.engine or ("vllm" if accelerator_type else AUTO)
    if engine == "openvino" and accelerator_type:
        raise ValueError(
            f"serving.engine: openvino runs on CPUs, but the endpoint has {accelerator_type}: take "
            "vllm or native, or a profile without an accelerator"
        )
    if engine == "vllm" and not accelerator_type:
        raise ValueError(
            "serving.engine: vllm needs an accelerator, but the endpoint has none: take native or "
            "openvino, or a profile with an accelerator"
        )
    on_gpu = engine == "vllm"
    for name in ("max_model_tokens", "quantization"):
        if getattr(settings, name) and not on_gpu:
            raise ValueError(f"serving.{name} is for the engine vllm, but {engine} serves")
    flags: dict[str, object] = {
        "engine": "" if engine in ("native", AUTO) else engine,
        "max-batch-size": settings.max_batch_size or (_VLLM_BATCH_SIZE if on_gpu else 0),
        "max-model-tokens": settings.max_model_tokens,
        "quantization": settings.quantization,
    }
    return ServingPlan(
        engine=engine,
        image=settings.image,
        arguments=tuple(
            part for name, value in flags.items() if value for part in (f"--{name}", str(value))
        ),
        shared_memory_mb=_VLLM_SHARED_MEMORY_MB if on_gpu else 0,
        deployment_seconds=_VLLM_DEPLOYMENT_SECONDS if on_gpu else 0,
    )
