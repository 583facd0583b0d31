"""A session with the local or Google's Vertex AI; the code that uses it is the same for both."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from doctune.cli.local_vertex import LOCAL_PROJECT, keep_local_vertex, local_vertex
from doctune.configuration.environments import LAPTOP, chosen_environment
from doctune.configuration.settings import VertexSettings, load_vertex_settings
from doctune.errors import ConfigurationError

if TYPE_CHECKING:
    from doctune.vertex.jobs import RunSettings

Local = Annotated[
    bool, typer.Option("--local/--cloud", help="Use the local Vertex AI, or Google's.")
]
Impersonate = Annotated[
    str,
    typer.Option(
        "--impersonate-service-account",
        metavar="EMAIL",
        help="Service account to impersonate; default: runs.impersonate_service_account.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def vertex_session(
    local: bool,
    impersonate_service_account: str = "",
    *,
    keep_running: bool = False,
    sdk: bool = True,
) -> Iterator[VertexSettings]:
    """Prepares Google's clients for the block.

    Args:
        keep_running: Whether a local Vertex AI that is started here keeps running after the
            command, for the jobs that the command leaves there.
        sdk: Whether the block needs Vertex AI's SDK, or only Google's other clients.

    Raises:
        ConfigurationError: The project exists only on this machine, or there are no credentials.
    """
    from doctune.vertex.session import begin_session, init_session

    settings = load_vertex_settings()
    if not local and settings.project == LOCAL_PROJECT:
        raise ConfigurationError(
            f"project {LOCAL_PROJECT} exists only on this machine: set project, location and "
            "staging_bucket in vertex_config.yaml, or use --local."
        )
    if not local and chosen_environment() == LAPTOP:
        raise ConfigurationError(
            f"environment {LAPTOP} is only for short runs on this machine: choose another with "
            "--environment, or none."
        )
    with ExitStack() as stack:
        if local:
            stack.enter_context(keep_local_vertex() if keep_running else local_vertex())
        begin = init_session if sdk else begin_session
        begin(
            settings.project,
            settings.location,
            settings.staging_bucket,
            impersonate_service_account=impersonate_service_account
            or settings.runs.impersonate_service_account,
        )
        yield settings


def run_settings(settings: VertexSettings, enable_caching: bool | None = None) -> "RunSettings":
    """Returns the settings of runs, from `runs` of vertex_config.yaml.

    Args:
        enable_caching: The flag of the command line; None if it was not given.
    """
    from doctune.vertex.jobs import RunSettings

    runs = settings.runs
    return RunSettings(
        service_account=runs.service_account,
        network=runs.network,
        encryption_spec_key_name=runs.encryption_spec_key_name,
        enable_caching=runs.enable_caching if enable_caching is None else enable_caching,
        failure_policy=runs.failure_policy,
        pipeline_root=runs.pipeline_root,
        labels=runs.labels,
    )
