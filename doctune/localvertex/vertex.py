"""The shared context of all handlers: state, message types, running programs."""

import asyncio
import json
import os
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from doctune.localvertex.api.codec import Codec, Document
from doctune.localvertex.api.table import Table
from doctune.localvertex.background import BackgroundTasks
from doctune.localvertex.config import LocalVertexConfig
from doctune.localvertex.model_server import TRUSTED_VARIABLE
from doctune.localvertex.names import ProjectNumbers, identifier, location, project
from doctune.localvertex.notebooks.scripts import write_job_scripts
from doctune.localvertex.objects import Objects
from doctune.localvertex.operations import Operations
from doctune.localvertex.prebuilt import PROGRAMS
from doctune.localvertex.programs import container_environment, expand, resolve_program
from doctune.localvertex.request_log import RequestLog
from doctune.localvertex.serving import ServingPool, ServingProcess, ServingSpec
from doctune.localvertex.store import Store
from doctune.localvertex.tracker import Jobs
from doctune.localvertex.vectors import Vectors
from doctune.runner import gcs_mount


class Vertex:
    """A localvertex instance, without its listeners."""

    def __init__(
        self,
        config: LocalVertexConfig,
        table: Table,
        environment: Mapping[str, str],
        client: aiohttp.ClientSession,
        storage_url: str,
    ) -> None:
        """
        Args:
            environment: What points the clients of the programs that are run here at this server.
            client: For requests to serving programs and to the storage emulator.
        """
        self.config = config
        self.table = table
        self.codec = Codec(table)
        trusted = json.dumps(config.trusted_models)
        tools = config.state_dir / "bin"
        write_job_scripts(tools)
        self.environment = {
            **environment,
            TRUSTED_VARIABLE: trusted,
            "PATH": os.pathsep.join([str(tools), os.environ.get("PATH", os.defpath)]),
            **config.environment,
        }
        self.client = client
        self.projects = ProjectNumbers(
            config.project, config.project_number, config.state_dir / "projects.json"
        )
        self.store = Store(config.state_dir / "state.db")
        self.operations = Operations(self.store, self.codec)
        self.serving = ServingPool()
        self.request_log = RequestLog(config.state_dir / "request_response.db")
        self.objects = Objects(storage_url, client)
        self.vectors: dict[str, Vectors] = {}  # the datapoints of indexes that have been searched
        self._tasks = BackgroundTasks()
        self.jobs = Jobs(self.store, self._tasks)
        self._routes: dict[str, Document] = {}
        self._routes_revision = -1

    def background(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Runs a coroutine that outlives the call that started it."""
        return self._tasks.start(work)

    async def close(self) -> None:
        """Stops running programs and closes the state."""
        await self._tasks.cancel()
        await self.serving.stop()
        self.store.close()
        self.request_log.close()

    def route(self, endpoint: str) -> Document:
        """Returns an endpoint, from memory if nothing has been written since it was read.

        Raises:
            ApiError: NOT_FOUND.
        """
        if self._routes_revision != self.store.revision:
            self._routes.clear()
            self._routes_revision = self.store.revision
        if endpoint not in self._routes:
            with self.store.transaction() as transaction:
                self._routes[endpoint] = transaction.get("Endpoint", endpoint)
        return self._routes[endpoint]

    def serving_process(
        self, endpoint: str, deployed: Document, version: Document
    ) -> ServingProcess:
        """Returns the process of a deployed model, not started yet.

        Raises:
            ApiError: FAILED_PRECONDITION: no program stands for the image.
        """
        container = version.get("container_spec", {})
        route = f"/v1/{endpoint.partition('/locations/')[2].partition('/')[2]}"
        route = f"{route}/deployedModels/{deployed['id']}"
        health = container.get("health_route") or route
        predict = container.get("predict_route") or f"{route}:predict"
        variables = self._serving_variables(endpoint, deployed, version)
        variables |= {"AIP_HEALTH_ROUTE": health, "AIP_PREDICT_ROUTE": predict}
        for variable in container.get("env", ()):
            variables[variable["name"]] = expand(variable.get("value", ""), variables)
        command = resolve_program(
            container.get("image_uri", ""),
            self.programs,
            command=[expand(part, variables) for part in container.get("command", ())],
            arguments=[expand(part, variables) for part in container.get("args", ())],
        )
        timeout = container.get("deployment_timeout", "")
        return ServingProcess(
            ServingSpec(
                deployed_model_id=deployed["id"],
                command=(*self.mounting, *command),
                environment=container_environment(self.environment_of(endpoint), variables),
                health_route=health,
                predict_route=predict,
                log_path=self.log_path("endpoints", identifier(endpoint), f"{deployed['id']}.log"),
                start_seconds=(
                    float(timeout.removesuffix("s"))
                    if timeout
                    else self.config.deploy_timeout_seconds
                ),
                restart_seconds=self.config.restart_seconds,
                is_invoked=bool(container.get("invoke_route_prefix")),
            ),
            self.client,
        )

    def environment_of(self, name: str) -> dict[str, str]:
        """Returns the environment of a resource's program, with project and location."""
        number = project(name)
        return {
            **self.environment,
            "GOOGLE_CLOUD_PROJECT": self.projects.project(number) or number,
            "CLOUD_ML_PROJECT_ID": number,
            "CLOUD_ML_REGION": location(name),
            **self.config.environment,
        }

    @property
    def url(self) -> str:
        """Where plain HTTP is answered: for clients that go past the proxy."""
        return f"http://{self.environment['GCE_METADATA_HOST']}"

    @property
    def storage_folder(self) -> Path:
        """The folder in which the storage emulator has one folder per bucket."""
        return self.config.state_dir / "storage"

    @property
    def programs(self) -> dict[str, list[str]]:
        """The programs by image: those of the configuration, then Google's prebuilt ones."""
        own = self.config.programs
        return {**own, **{key: value for key, value in PROGRAMS.items() if key not in own}}

    @property
    def mounting(self) -> list[str]:
        """The prefix of the command lines of all programs."""
        return gcs_mount.mounting(
            self.storage_folder, refuse_folder_renames=self.config.refuse_folder_renames
        )

    def log_path(self, *parts: str) -> Path:
        """Returns the log path of a program."""
        return self.config.state_dir.joinpath("logs", *parts)

    def _serving_variables(
        self, endpoint: str, deployed: Document, version: Document
    ) -> dict[str, str]:
        machine = deployed.get("dedicated_resources", {}).get("machine_spec", {})
        return {
            "AIP_MODE": "PREDICTION",
            "AIP_STORAGE_URI": version.get("artifact_uri", ""),
            "AIP_ENDPOINT_ID": identifier(endpoint),
            "AIP_DEPLOYED_MODEL_ID": deployed["id"],
            "AIP_MODEL_NAME": identifier(version["name"]),
            "AIP_VERSION_NAME": version["version_id"],
            "AIP_PROJECT_NUMBER": project(endpoint),
            "AIP_MACHINE_TYPE": machine.get("machine_type", ""),
            "AIP_ACCELERATOR_TYPE": machine.get("accelerator_type", ""),
            "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
        }
