"""CustomJobs: worker pools whose replicas are processes on loopback.

Each replica gets the environment that Vertex gives it: CLUSTER_SPEC (and TF_CONFIG), the AIP_*
folders under the job's output directory, and with several replicas MASTER_ADDR, MASTER_PORT,
WORLD_SIZE and RANK for torch. The job has succeeded when the first pool has; one failing replica
fails it.
"""

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import Status, invalid
from doctune.localvertex.jobs.packages import install_packages
from doctune.localvertex.jobs.processes import exit_reason, run_program
from doctune.localvertex.ports import LOOPBACK, free_port
from doctune.localvertex.programs import container_environment, expand, resolve_program
from doctune.localvertex.tracker import JobFailedError
from doctune.localvertex.vertex import Vertex
from doctune.runner.overlay import make_overlay, overlay_environment
from doctune.runner.programs import framework_variables

_GRACE_SECONDS = 3.0
_TASK_TYPES = ("chief", "worker", "ps", "evaluator")


@dataclass(frozen=True)
class TrialSettings:
    """Settings that a hyperparameter tuning trial adds to its custom job."""

    trial_id: str
    arguments: Sequence[str]
    variables: Mapping[str, str]


@dataclass(frozen=True)
class _Replica:
    pool: int
    index: int
    port: int
    spec: Document = field(repr=False)

    @property
    def label(self) -> str:
        return f"workerpool{self.pool}-{self.index}"


def check_job_spec(vertex: Vertex, spec: Document) -> None:
    """Raises if a job specification is invalid.

    Raises:
        ApiError: INVALID_ARGUMENT, or FAILED_PRECONDITION for an image that has no program here.
    """
    pools = spec.get("worker_pool_specs", [])
    if not pools:
        raise invalid("job_spec.worker_pool_specs must not be empty.")
    if len(pools) > len(_TASK_TYPES):
        raise invalid(f"job_spec.worker_pool_specs has at most {len(_TASK_TYPES)} pools.")
    for at, pool in enumerate(pools):
        if int(pool.get("replica_count", 0)) == 0 and not pool.get("machine_spec"):
            continue  # an empty pool is a placeholder for an unused one
        if not pool.get("machine_spec", {}).get("machine_type"):
            raise invalid(f"worker_pool_specs[{at}].machine_spec.machine_type is required.")
        if "container_spec" not in pool and "python_package_spec" not in pool:
            raise invalid(f"worker_pool_specs[{at}] needs container_spec or python_package_spec.")
        _command(vertex, pool, {})
    if not int(pools[0].get("replica_count", 0)):
        raise invalid("worker_pool_specs[0].replica_count must be at least 1.")


async def run_job_spec(
    vertex: Vertex, name: str, spec: Document, trial: TrialSettings | None = None
) -> None:
    """Runs the replicas of a job to their end.

    Args:
        name: The resource name of the custom job.

    Raises:
        JobFailedError: A replica failed, or the job took longer than its time-out.
    """
    replicas = [
        _Replica(pool, index, free_port(), pool_spec)
        for pool, pool_spec in enumerate(spec["worker_pool_specs"])
        for index in range(int(pool_spec.get("replica_count", 0)))
    ]
    seconds = float(spec.get("scheduling", {}).get("timeout", "604800s").removesuffix("s"))
    try:
        async with asyncio.timeout(seconds):
            await _run_replicas(vertex, name, spec, replicas, trial)
    except TimeoutError as error:
        raise JobFailedError(
            f"The job took longer than its time-out of {seconds:g} s.", Status.DEADLINE_EXCEEDED
        ) from error


async def _run_replicas(
    vertex: Vertex,
    name: str,
    spec: Document,
    replicas: Sequence[_Replica],
    trial: TrialSettings | None,
) -> None:
    folder = vertex.log_path("jobs", names.identifier(name))
    tasks = {
        asyncio.create_task(
            _run_replica(vertex, name, spec, replicas, replica, folder, trial)
        ): replica
        for replica in replicas
    }
    first_pool = {task for task, replica in tasks.items() if replica.pool == 0}
    pending = set(tasks)
    try:
        while pending & first_pool:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        # Parameter servers never end; workers get time to write their last output.
        done, pending = (
            await asyncio.wait(pending, timeout=_GRACE_SECONDS) if pending else (set(), set())
        )
        for task in done:
            task.result()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run_replica(
    vertex: Vertex,
    name: str,
    spec: Document,
    replicas: Sequence[_Replica],
    replica: _Replica,
    folder: Path,
    trial: TrialSettings | None,
) -> None:
    variables = _variables(vertex, name, spec, replicas, replica, trial)
    container = replica.spec.get("container_spec") or replica.spec["python_package_spec"]
    for variable in container.get("env", ()):
        variables[variable["name"]] = expand(variable.get("value", ""), variables)
    command = _command(vertex, replica.spec, variables)
    if trial is not None:
        command = [*command, *trial.arguments]
    work_folder = folder / replica.label
    work_folder.mkdir(parents=True, exist_ok=True)
    log_path = folder / f"{replica.label}.log"
    overlay = work_folder / ".python"
    await asyncio.to_thread(make_overlay, overlay)
    environment = overlay_environment(
        container_environment(vertex.environment_of(name), variables), overlay
    )
    try:
        uris = container.get("package_uris", ())
        await install_packages(vertex, uris, work_folder, environment, log_path)
        code = await run_program(
            [*vertex.mounting, *command], environment, log_path, cwd=work_folder
        )
    finally:
        await asyncio.to_thread(shutil.rmtree, overlay, ignore_errors=True)
    if code != 0:
        raise JobFailedError(f"The replica {replica.label} {exit_reason(code, log_path)}")


def _command(vertex: Vertex, pool: Document, variables: Mapping[str, str]) -> list[str]:
    programs = vertex.programs
    if "container_spec" in pool:
        container = pool["container_spec"]
        return resolve_program(
            container.get("image_uri", ""),
            programs,
            command=[expand(part, variables) for part in container.get("command", ())],
            arguments=[expand(part, variables) for part in container.get("args", ())],
        )
    package = pool["python_package_spec"]
    return resolve_program(
        package.get("executor_image_uri", ""),
        programs,
        command=["python", "-m", package.get("python_module", "")],
        arguments=[expand(part, variables) for part in package.get("args", ())],
    )


def _variables(
    vertex: Vertex,
    name: str,
    spec: Document,
    replicas: Sequence[_Replica],
    replica: _Replica,
    trial: TrialSettings | None,
) -> dict[str, str]:
    cluster: dict[str, list[str]] = {}
    for other in replicas:
        cluster.setdefault(f"workerpool{other.pool}", []).append(f"{LOOPBACK}:{other.port}")
    task = {"type": f"workerpool{replica.pool}", "index": replica.index}
    if trial is not None:
        task["trial"] = trial.trial_id
    cluster_spec = {
        "cluster": cluster,
        "environment": "cloud",
        "task": task,
        "job": json.dumps(spec),
        "open_ports": [replica.port],
    }
    container = replica.spec.get("container_spec") or replica.spec["python_package_spec"]
    image = container.get("image_uri") or container.get("executor_image_uri", "")
    variables = {
        **framework_variables(image),
        "CLUSTER_SPEC": json.dumps(cluster_spec),
        "TF_CONFIG": json.dumps(_tf_config(replicas, replica)),
        "CLOUD_ML_JOB_ID": names.identifier(name),
        "CLOUD_ML_PROJECT_ID": names.project(name),
        **_output_folders(spec, trial),
    }
    if len(replicas) > 1:
        variables |= {
            "MASTER_ADDR": LOOPBACK,
            "MASTER_PORT": str(replicas[0].port),
            "WORLD_SIZE": str(len(replicas)),
            "RANK": str(list(replicas).index(replica)),
        }
    if spec.get("tensorboard"):
        variables["AIP_TENSORBOARD_RESOURCE_NAME"] = spec["tensorboard"]
    if trial is not None:
        variables |= trial.variables
    return variables


def _tf_config(replicas: Sequence[_Replica], replica: _Replica) -> Document:
    cluster: dict[str, list[str]] = {}
    for other in replicas:
        cluster.setdefault(_TASK_TYPES[other.pool], []).append(f"{LOOPBACK}:{other.port}")
    task = {"type": _TASK_TYPES[replica.pool], "index": replica.index}
    return {"cluster": cluster, "task": task, "environment": "cloud"}


def _output_folders(spec: Document, trial: TrialSettings | None) -> dict[str, str]:
    base = spec.get("base_output_directory", {}).get("output_uri_prefix", "").rstrip("/")
    if not base:
        return {}
    if trial is not None:
        base = f"{base}/{trial.trial_id}"
    return {
        "AIP_MODEL_DIR": f"{base}/model/",
        "AIP_CHECKPOINT_DIR": f"{base}/checkpoints/",
        "AIP_TENSORBOARD_LOG_DIR": f"{base}/logs/",
    }
