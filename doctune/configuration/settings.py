"""Configuration: what to build (`config.yaml`) and where it runs (`vertex_config.yaml`).

Environment variables win over the files: `DOCTUNE_TRAINING__LEARNING_RATE=0.001` sets
`training.learning_rate` of config.yaml, `DOCTUNE_VERTEX_PROJECT=my-project` sets `project` of
vertex_config.yaml. An unknown key or a bad value is an error that names the file or the variable,
the key, and what is allowed.
"""

import difflib
import os
import re
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from doctune import limits
from doctune.configuration import environments
from doctune.configuration.profiles import Machine, with_profiles
from doctune.configuration.serving import ServingPlan, ServingSettings, serving_plan
from doctune.configuration.vertex_sections import (
    BUCKET,
    BucketsSettings,
    EndpointSettings,
    ImageSettings,
    LocalSettings,
    MachinesSettings,
    RunsSettings,
)
from doctune.configuration.yaml_file import read_yaml_file
from doctune.dataset.options import DatasetOptions
from doctune.documents.options import ParseOptions
from doctune.errors import ConfigurationError
from doctune.evaluation.options import EvaluationOptions
from doctune.knowledge.options import KnowledgeOptions
from doctune.training.options import TrainingOptions
from doctune.training.search_options import SearchOptions

CONFIG_FILE = "config.yaml"
VERTEX_CONFIG_FILE = "vertex_config.yaml"

# Environment variables that are not settings.
_OTHER_VARIABLES = {
    "DOCTUNE_CACHE",
    "DOCTUNE_CONFIG",
    "DOCTUNE_LOG_FORMAT",
    "DOCTUNE_DEBUG",
    "DOCTUNE_GATEWAY_UPSTREAM_KEY",
    "DOCTUNE_GATEWAY_USER_KEY",
    environments.VARIABLE,
    *(limit.variable for limit in limits.ALL),
}

_ABSENT = object()


class _FileSettings(BaseSettings):
    """Settings from the values of a file, overridden by environment variables."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings, init_settings)


class Settings(_FileSettings):
    """What to build: config.yaml."""

    model_config = SettingsConfigDict(
        env_prefix="DOCTUNE_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    pdfs: str = Field("samples/pdfs", description="Local folder of PDFs.")
    question: str = Field(description="Question to the endpoint at the end of a run.")
    model_name: str = Field(
        "",
        max_length=128,
        description="Name in the Model Registry; empty: that of the folder of PDFs.",
    )
    documents: ParseOptions = ParseOptions()
    dataset: DatasetOptions = DatasetOptions()
    knowledge: KnowledgeOptions = KnowledgeOptions()
    training: TrainingOptions = TrainingOptions()
    search: SearchOptions = SearchOptions()
    evaluation: EvaluationOptions = EvaluationOptions()

    def registry_name(self, pdfs: str = "") -> str:
        """Returns the model's name in the registry, which by default is that of the PDFs' folder.

        So a model of other documents is never the champion.

        Args:
            pdfs: The folder of PDFs, a path or a gs:// URI; "" for the one in the settings.
        """
        if self.model_name:
            return self.model_name
        parts = (pdfs or self.pdfs).replace("\\", "/").split("://")[-1].split("/")
        named = [part for part in parts if part and part.casefold() not in _UNNAMED_FOLDERS]
        name = re.sub(r"[^a-z0-9]+", "-", named[-1].casefold()).strip("-") if named else ""
        return name[:128] or "documents"


# Folder names that do not describe the contents.
_UNNAMED_FOLDERS = frozenset({"pdf", "pdfs", "documents", "docs", "files", "data", "input", "."})


class VertexSettings(_FileSettings):
    """Where it runs: vertex_config.yaml."""

    model_config = SettingsConfigDict(
        env_prefix="DOCTUNE_VERTEX_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    project: str = Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    location: str = Field("us-central1", pattern=r"^[a-z]+-[a-z]+\d+$")
    staging_bucket: str = Field(pattern=BUCKET, description="gs://NAME.")
    buckets: BucketsSettings = BucketsSettings()
    images: ImageSettings
    profiles: dict[str, Machine] = Field(
        default_factory=dict, description="Machines by name, for machines and endpoint."
    )
    machines: MachinesSettings = MachinesSettings()
    shards: int = Field(1, ge=1, le=1000, description="Machines that read PDFs side by side.")
    endpoint: EndpointSettings
    serving: ServingSettings = ServingSettings()
    runs: RunsSettings = RunsSettings()
    local: LocalSettings = LocalSettings()

    @model_validator(mode="before")
    @classmethod
    def _fill_in_profiles(cls, values: dict[str, Any]) -> dict[str, Any]:
        return with_profiles(values)

    @model_validator(mode="after")
    def _engine_runs_on_the_endpoint(self) -> "VertexSettings":
        serving_plan(self.serving, self.endpoint.accelerator_type)
        return self

    @property
    def serving_plan(self) -> ServingPlan:
        """How a version's container is started."""
        return serving_plan(self.serving, self.endpoint.accelerator_type)


def config_folder() -> Path:
    """Returns the folder of the two files: `DOCTUNE_CONFIG`, or `config` here."""
    return Path(os.environ.get("DOCTUNE_CONFIG", "config"))


def load_settings(folder: Path | None = None, environment: str | None = None) -> Settings:
    """Reads config.yaml, what the environment lays over it, and the variables.

    Args:
        environment: See `doctune.configuration.environments`; None for the chosen one, "" for none.

    Raises:
        ConfigurationError: The file is missing or not YAML, a key is unknown, a value is invalid,
            or there is no such environment.
    """
    return _load(Settings, (folder or config_folder()) / CONFIG_FILE, environment)


def load_vertex_settings(
    folder: Path | None = None, environment: str | None = None
) -> VertexSettings:
    """Reads vertex_config.yaml, what the environment lays over it, and the variables.

    Raises:
        ConfigurationError: As `load_settings`.
    """
    return _load(VertexSettings, (folder or config_folder()) / VERTEX_CONFIG_FILE, environment)


_S = TypeVar("_S", Settings, VertexSettings)


def check_values(settings_class: type[_S], values: dict[str, Any], *sources: Path) -> _S:
    """Returns settings from values, overridden by environment variables.

    Args:
        sources: The files that the values come from; the last one wins.

    Raises:
        ConfigurationError: A key is unknown, or a value is bad.
    """
    _refuse_unknown_variables()
    try:
        return settings_class(**values)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, settings_class, sources)) from error


def _load(settings_class: type[_S], path: Path, environment: str | None) -> _S:
    if not path.is_file():
        raise ConfigurationError(
            f"{path} is missing: run doctune where its config folder is, or set DOCTUNE_CONFIG."
        )
    chosen = environments.chosen_environment() if environment is None else environment
    files = environments.layers(path, chosen)
    for file in files:
        _refuse_secrets(settings_class, read_yaml_file(file), file)
    values = YamlConfigSettingsSource(settings_class, files, deep_merge=True)()
    return check_values(settings_class, values, *files)


def _refuse_secrets(model: type[BaseModel], values: Any, file: Path, key: str = "") -> None:
    """Refuses the value of a secret, a field hidden from repr, in a file."""
    for name, field in model.model_fields.items() if isinstance(values, dict) else ():
        if name not in values:
            continue
        if not field.repr and values[name] is not None:
            raise ConfigurationError(
                f"{file}: {key}{name} is a secret, which no file may hold: put it into Secret "
                f"Manager and name its version in {key}{name}_secret."
            )
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            _refuse_secrets(field.annotation, values[name], file, f"{key}{name}.")


def _refuse_unknown_variables() -> None:
    known = set(_OTHER_VARIABLES)
    for settings_class in (Settings, VertexSettings):
        prefix = str(settings_class.model_config["env_prefix"])
        known |= {f"{prefix}{name}".upper() for name in settings_class.model_fields}
    for variable in sorted(os.environ):
        if variable.startswith("DOCTUNE_") and variable.split("__")[0] not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}."
            raise ConfigurationError(f"environment variable {variable} is unknown: {hint}")


def _explain(
    error: ValidationError, settings_class: type[BaseSettings], files: tuple[Path, ...]
) -> str:
    lines = []
    for problem in error.errors():
        location = [str(part) for part in problem["loc"]]
        variable = f"{settings_class.model_config['env_prefix']}{'__'.join(location)}".upper()
        source = (
            f"environment variable {variable}"
            if variable in os.environ
            else str(_origin(location, files))
        )
        key = ".".join(location)
        if problem["type"] == "extra_forbidden":
            allowed = ", ".join(_fields_at(settings_class, location[:-1]))
            lines.append(f"{source}: unknown key {key}; allowed here: {allowed}")
        elif problem["type"] == "missing":
            lines.append(f"{source}: {key} is missing")
        elif not location:
            lines.append(f"{source}: {problem['msg'].removeprefix('Value error, ')}")
        else:
            value = problem["input"]
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{source}: {key}: {message} (it is {value!r})")
    return "; ".join(lines) + "."


def _origin(location: list[str], files: tuple[Path, ...]) -> Path:
    """Returns the topmost file that has a key, or the first one."""
    for file in reversed(files[1:]):
        values: Any = read_yaml_file(file)
        for part in location:
            values = values.get(part, _ABSENT) if isinstance(values, dict) else _ABSENT
        if values is not _ABSENT:
            return file
    return files[0]


def _fields_at(model: type[BaseModel], location: list[str]) -> list[str]:
    parts = iter(location)
    for name in parts:
        annotation = model.model_fields[name].annotation if name in model.model_fields else None
        if get_origin(annotation) is dict:
            next(parts, None)  # the key, which is anybody's choice
            annotation = get_args(annotation)[1]
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
