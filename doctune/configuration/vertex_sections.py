"""The sections of `vertex_config.yaml`: images, machines, endpoint, runs, buckets, this machine."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from doctune.configuration.profiles import Machine


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _pinned_tag(tag: Any) -> Any:
    if tag == "latest":
        raise ValueError("an image tag must name one build, such as a git SHA; 'latest' does not")
    return tag


class ImageSettings(_Section):
    """Where the steps' container images are."""

    prefix: str = Field(min_length=1, description="Registry, project and repository.")
    tag: Annotated[str, BeforeValidator(_pinned_tag)] = Field(pattern=r"^[\w][\w.-]{0,127}$")


class MachineSettings(Machine):
    """The machine one step runs on."""

    profile: str = Field("", description="One of `profiles`; values beside it override it.")


class TrainingMachineSettings(MachineSettings):
    """The machines that training runs on."""

    replica_count: int = Field(
        1,
        ge=1,
        le=100,
        description="Workers that train together, a machine each; more than 1 run as a custom job.",
    )

    @model_validator(mode="after")
    def _workers_have_a_machine(self) -> "TrainingMachineSettings":
        if self.replica_count > 1 and not self.machine_type:
            raise ValueError("replica_count above 1 needs machine_type, or a profile that has one")
        return self


class MachinesSettings(_Section):
    """A machine for each image."""

    documents: MachineSettings = MachineSettings()
    training: TrainingMachineSettings = TrainingMachineSettings()
    ops: MachineSettings = MachineSettings()


Rollout = Literal["direct", "canary", "experiment"]
DIRECT: Rollout = "direct"


class EndpointSettings(_Section):
    """The endpoint and the machines behind it."""

    name: str = Field(min_length=1, max_length=128)
    profile: str = Field("", description="One of `profiles`; values beside it override it.")
    machine_type: str = Field(
        "n1-standard-4", description="Machine of Compute Engine for each replica."
    )
    min_replica_count: int = Field(1, ge=1, description="Fewest replicas.")
    max_replica_count: int = Field(1, ge=1, description="Most replicas.")
    accelerator_type: str = Field("", description="Such as NVIDIA_L4; empty for none.")
    accelerator_count: int = Field(0, ge=0, le=16, description="Accelerators of each replica.")
    service_account: str = Field(
        "",
        pattern=r"^$|^[^@\s]+@[^@\s]+$",
        description="E-mail of the model server's service account; empty: Vertex AI's default.",
    )
    autoscaling_target: int = Field(
        0,
        ge=0,
        le=100,
        description="Percent of CPU, or of a GPU's time, at which replicas are added; 0: Vertex "
        "AI's default, 60.",
    )
    routes: Literal["shared", "dedicated", "invoke"] = Field(
        "shared",
        description="How predictions reach a new endpoint. shared: by the region's host; "
        "dedicated: by a host of its own, with bodies to 10 MB; invoke: by the model server's own "
        "routes there, and a new version is tested without traffic.",
    )
    traffic_percentage: int = Field(
        10,
        ge=1,
        le=100,
        description="Share of the traffic that a new version gets during its test.",
    )
    rollout: Rollout = Field(
        DIRECT,
        description="direct: all traffic after the test; canary: in watched steps; experiment: an "
        "A/B test against the champion decides.",
    )
    canary_steps: list[int] = Field(
        [10, 25, 50], min_length=1, description="Percent of the traffic at each step of a canary."
    )
    canary_seconds: float = Field(
        300.0, ge=0, description="How long each step of a canary is watched."
    )
    canary_error_rate: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Share of its predictions that a new version may fail; more roll it back.",
    )


class RunsSettings(_Section):
    """Options of pipeline runs and schedules; empty ones are left to Vertex AI."""

    service_account: str = Field(
        "", pattern=r"^$|^[^@\s]+@[^@\s]+$", description="E-mail of the steps' service account."
    )
    network: str = Field(
        "",
        pattern=r"^$|^projects/[^/]+/global/networks/[^/]+$",
        description="VPC peered with Vertex AI: projects/NUMBER/global/networks/NAME.",
    )
    encryption_spec_key_name: str = Field(
        "",
        pattern=r"^$|^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$",
        description="Customer-managed key.",
    )
    impersonate_service_account: str = Field(
        "",
        pattern=r"^$|^[^@\s]+@[^@\s]+$",
        description="Service account that commands impersonate.",
    )
    pipeline_root: str = Field(
        "", pattern=r"^$|^gs://.+$", description="Folder for outputs; empty: staging_bucket/runs."
    )
    enable_caching: bool | None = Field(None, description="null leaves it to the spec.")
    failure_policy: Literal["slow", "fast"] | None = Field(
        None, description="fast: start no more steps after a failure."
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Labels of every run.")


BUCKET = r"^gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$"
BUCKET_OR_EMPTY = f"^$|{BUCKET}"


class BucketsSettings(_Section):
    """Buckets for what is kept longer than runs' outputs; by default as Terraform names them."""

    models: str = Field(
        "",
        pattern=BUCKET_OR_EMPTY,
        description="Bucket for registered models; empty: ...-model-artifacts.",
    )
    evaluations: str = Field(
        "", pattern=BUCKET_OR_EMPTY, description="Results; else ...-evaluation-results."
    )
    data: str = Field(
        "",
        pattern=BUCKET_OR_EMPTY,
        description="Bucket for training and test sets; empty: ...-training-data.",
    )


class LocalSettings(_Section):
    """The local Vertex AI."""

    state_dir: Path = Path(".doctune/localvertex")
    programs: dict[str, list[str]] = Field(
        default_factory=dict,
        description="What runs for an image: pattern of the image's URI to a command line.",
    )
    trusted_models: tuple[str, ...] = Field(
        (), description="Folders (gs://...) whose models may be loaded from pickles."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description=(
            "Hosts that programs may reach beside the local Vertex AI, such as huggingface.co, "
            "*.hf.co or generativelanguage.googleapis.com."
        ),
    )
    bigquery: tuple[str, ...] = Field(
        (),
        description=(
            "Command line of a BigQuery emulator, in which {port}, {folder} and {buckets} are "
            "replaced; without one, BigQuery is refused."
        ),
    )
    refuse_folder_renames: bool = Field(
        True,
        description=(
            "Whether renames of folders that are not empty are refused under /gcs, and among the "
            "outputs of local runs, as on buckets without a hierarchical namespace."
        ),
    )
