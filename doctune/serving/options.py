"""Options of the model server: Vertex AI's `AIP_*` variables, overridden by flags."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from doctune.errors import ConfigurationError

_Route = Annotated[str, StringConstraints(pattern=r"^/[\w./:-]*$")]

# The variables that Vertex AI sets, and the option that each one gives.
VERTEX_VARIABLES = {
    "AIP_HTTP_PORT": "port",
    "AIP_HEALTH_ROUTE": "health_route",
    "AIP_PREDICT_ROUTE": "predict_route",
    "AIP_STORAGE_URI": "model_uri",
}


class ServingOptions(BaseModel):
    """Settings of the model server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_uri: str = Field(
        min_length=1, description="Folder, or gs:// URI, with the weights or with model/ inside."
    )
    engine: Literal["native", "openvino", "vllm"] = Field(
        "native",
        description="native decodes with torch, openvino with OpenVINO in 8 bits, on CPUs; vllm "
        "becomes vLLM, with doctune's routes.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 in a container.")
    port: int = Field(8080, ge=1, le=65535)
    health_route: _Route = "/health"
    predict_route: _Route = "/predict"
    max_body_bytes: int = Field(
        1_500_000, ge=1, description="Maximum size of a request body; Vertex AI's limit is 1.5 MB."
    )
    max_instances: int = Field(32, ge=1, description="Maximum number of instances per request.")
    max_new_tokens: int = Field(
        1024, ge=1, description="Maximum number of tokens of an answer that a request can set."
    )
    max_batch_size: int = Field(
        16, ge=1, description="Maximum number of instances that are decoded together."
    )
    max_waiting: int = Field(
        128, ge=1, description="Maximum number of waiting instances; more are refused with 429."
    )
    stuck_seconds: float = Field(
        120.0,
        gt=0,
        description="Time without a token, while requests wait, after which health is 503.",
    )
    request_timeout_seconds: float = Field(
        60.0,
        gt=0,
        description="Time limit of an answer; Vertex AI's default limit is 60 s.",
    )
    shutdown_seconds: float = Field(
        30.0, gt=0, description="Time limit for requests in flight after SIGTERM."
    )

    gpu_memory_share: float = Field(
        0.9, gt=0, le=1, description="With vllm: share of the GPU's memory that it takes."
    )
    max_model_tokens: int = Field(
        0, ge=0, description="With vllm: most tokens of prompt and answer; 0: the model's context."
    )
    quantization: Literal["", "fp8"] = Field(
        "", description="With vllm: fp8 quantizes while loading, on an L4 or H100."
    )
    adapters: str = Field(
        "",
        description="With vllm: LoRA adapters on the model as base: NAME=FOLDER,NAME=FOLDER.",
    )
    max_lora_rank: int = Field(16, ge=1, le=512, description="With vllm: largest rank of these.")

    @property
    def adapter_folders(self) -> dict[str, str]:
        """The adapters' folders by name."""
        pairs = (part.strip().partition("=") for part in self.adapters.split(",") if part.strip())
        return {name: folder for name, _, folder in pairs}

    @model_validator(mode="after")
    def _adapters_are_named(self) -> "ServingOptions":
        parts = [part for part in self.adapters.split(",") if part.strip()]
        found = self.adapter_folders
        if len(found) != len(parts) or not all(found) or not all(found.values()):
            raise ValueError("--adapters is NAME=FOLDER, with commas between, each name once")
        if "tuned" in found:
            raise ValueError("--adapters is NAME=FOLDER; the name tuned is the base's")
        return self

    @model_validator(mode="after")
    def _a_request_fits_the_queue(self) -> "ServingOptions":
        if self.max_instances > self.max_waiting:
            raise ValueError("max_instances must not be more than max_waiting")
        return self


def options_from(environment: Mapping[str, str], flags: Mapping[str, object]) -> ServingOptions:
    """Returns the options that the environment and the flags give; flags win.

    Raises:
        ConfigurationError: A value is missing or out of range; the message names it.
    """
    values: dict[str, object] = {
        option: environment[variable]
        for variable, option in VERTEX_VARIABLES.items()
        if environment.get(variable)
    }
    values |= {name: value for name, value in flags.items() if value is not None}
    try:
        return ServingOptions.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, flags)) from error


def _explain(error: ValidationError, flags: Mapping[str, object]) -> str:
    variables = {option: variable for variable, option in VERTEX_VARIABLES.items()}
    problems = []
    for problem in error.errors():
        if not problem["loc"]:
            problems.append(str(problem["msg"]).removeprefix("Value error, "))
            continue
        option = str(problem["loc"][0])
        flag = f"--{option.replace('_', '-')}"
        if problem["type"] == "missing":
            problems.append(f"no model is named: set {variables[option]} or give {flag}")
        else:
            given_by_flag = flags.get(option) is not None
            source = flag if given_by_flag else variables.get(option, flag)
            problems.append(f"{source}: {problem['msg'].lower()} (it is {problem['input']!r})")
    return "; ".join(problems) + "."
