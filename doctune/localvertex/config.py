"""The configuration of localvertex."""

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

_ALLOWED_HOST = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?")


class LocalVertexConfig(BaseModel):
    """Configuration of one local Vertex AI: where its state is and what runs for an image."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str = Field("local-project", min_length=1)
    location: str = Field("us-central1", min_length=1)
    project_number: str = Field("123456789012", pattern=r"^\d{1,18}$")
    state_dir: Path = Field(description="Everything that survives a restart is in here.")
    programs: dict[str, list[str]] = Field(
        default_factory=dict,
        description=(
            "What runs for a container image: a pattern of its URI (as fnmatch reads it) to a "
            "command line, in which {python} is this interpreter. An empty command line means that "
            "the container's own command runs here as it is."
        ),
    )
    buckets: tuple[str, ...] = Field(
        (), description="Cloud Storage buckets that exist from the start."
    )
    trusted_models: tuple[str, ...] = Field(
        (),
        description=(
            "Folders (gs://...) whose models may be loaded from pickles by the programs that stand "
            "for Google's prebuilt prediction containers. A pickle runs code when it is loaded."
        ),
    )
    bigquery: tuple[str, ...] = Field(
        (),
        description=(
            "The command line of a BigQuery emulator: {port} is where it has to answer REST, "
            "{folder} is for what it keeps, {buckets} has a folder for each bucket. Without one, "
            "BigQuery is refused."
        ),
    )
    refuse_folder_renames: bool = Field(
        True,
        description=(
            "Whether renames of folders that are not empty are refused under /gcs, as by Cloud "
            "Storage FUSE on buckets without a hierarchical namespace."
        ),
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description=(
            "Hosts beside Google's that programs may reach through the proxy, really: a name, "
            "*.name for all below it, name:port for another port than 443. Google's own names lead "
            "here unless they are named."
        ),
    )
    environment: dict[str, str] = Field(
        default_factory=dict, description="Further variables for the programs that are run."
    )
    deploy_timeout_seconds: float = Field(
        600.0, gt=0, description="How long a serving program may take until it is healthy."
    )
    restart_seconds: float = Field(
        5.0, gt=0, description="Wait before a dead serving program is started again; it doubles."
    )

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not _ALLOWED_HOST.fullmatch(value):
                raise ValueError(
                    f"{value!r} is no host: write huggingface.co, *.hf.co or name:port, without "
                    "https://"
                )
        return values

    @field_validator("state_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()
