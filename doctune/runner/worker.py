"""Runs one compiled spec; `doctune run` and local PipelineJobs start it as a process.

    python -m doctune.runner.worker --spec FILE --arguments FILE --folder FOLDER
        --pipeline-root FOLDER --programs FILE --storage FOLDER [--runner docker] [--no-cache]

Events go to `FOLDER/events.jsonl`, outputs under `--pipeline-root`. `--programs` maps the images of
container components to local programs; `--storage` has a folder for each bucket. The exit code is 0
for success, 1 for a failed step, 2 for arguments that do not fit the spec.
"""

import argparse
import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import yaml

from doctune.processes import ignore_signals, stop_children
from doctune.runner.events import Event, EventLog
from doctune.runner.parameters import ParameterError, as_declared, check_parameters

if TYPE_CHECKING:
    from doctune.runner.steps import Launch, RunNames

_WORKSPACE = ".workspace"


def main() -> int:
    """Runs the pipeline that the command line names; returns the exit code."""
    options = _arguments()
    signal.signal(signal.SIGTERM, _end_with_children)
    signal.signal(signal.SIGINT, _end_with_children)
    # kfp.local warns about every display name and machine setting, which have no effect here.
    warnings.filterwarnings("ignore", category=UserWarning)
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    log = EventLog(options.folder / "events.jsonl")
    spec = next(iter(yaml.safe_load_all(options.spec.read_text(encoding="utf-8"))))
    given = json.loads(options.arguments.read_text(encoding="utf-8"))
    try:
        check_parameters(spec, given)
    except ParameterError as problem:
        log.write(Event(kind="run_failed", error=str(problem)))
        return 2
    with _launch(options, given) as (launch, image_ids):
        error = run_spec(
            spec, as_declared(spec, given), log, launch=launch, image_ids=image_ids, options=options
        )
    log.write(Event(kind="run_failed", error=error) if error else Event(kind="run_succeeded"))
    return 1 if error else 0


def run_spec(
    spec: Mapping[str, Any],
    arguments: Mapping[str, Any],
    log: EventLog,
    *,
    launch: "Launch",
    image_ids: Mapping[str, str],
    options: argparse.Namespace,
) -> str:
    """Runs a compiled spec in this process; returns why it failed, or "".

    Args:
        launch: Runs a step's container.
        image_ids: The id of each image, if steps run in containers.
        options: The command line's options.
    """
    from google.protobuf import json_format
    from kfp.local import utils
    from kfp.pipeline_spec import pipeline_spec_pb2

    from doctune.runner.cache import CodeAwareCache
    from doctune.runner.dag import DagRunner
    from doctune.runner.scope import Outcome
    from doctune.runner.steps import StepRunner

    message = json_format.ParseDict(
        spec, pipeline_spec_pb2.PipelineSpec(), ignore_unknown_fields=True
    )
    names = _names(options, message.pipeline_info.name)
    _begin_session(options, names)
    cache = CodeAwareCache(str(_cache_root(options)), image_ids) if options.cache else None
    executors = {
        label: utils.struct_to_executor_spec(executor)
        for label, executor in message.deployment_spec["executors"].items()
    }
    runner = DagRunner(
        dict(message.components),
        StepRunner(executors, launch, names, cache),
        log,
        job=names.resource_name,
        fail_fast=options.fail_fast,
    )
    ended = runner.run(message.root, arguments)
    if ended.outcome is Outcome.SUCCEEDED:
        return ""
    return ended.error or "a step failed"


def _names(options: argparse.Namespace, pipeline: str) -> "RunNames":
    from doctune.runner.steps import RunNames

    job_id = options.job_name.rpartition("/")[2]
    job_id = job_id or f"{pipeline}-{datetime.now().strftime('%Y-%m-%d-%H-%M-%S-%f')}"
    return RunNames(
        job_id=job_id,
        resource_name=options.job_name or job_id,
        pipeline_root=options.pipeline_root,
        folder=f"{options.project_number}/{job_id}" if options.project_number else job_id,
    )


def _begin_session(options: argparse.Namespace, names: "RunNames") -> None:
    """Sets the session state that the parts of kfp.local used here rely on."""
    from kfp import local

    from doctune.runner import placeholders

    workspace = options.folder / _WORKSPACE / names.job_id
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(options.folder),
        workspace_root=str(workspace),
    )
    constants = placeholders.vertex_placeholders(os.environ, job=names.resource_name)
    placeholders.install(constants)


@contextmanager
def _launch(
    options: argparse.Namespace, arguments: dict[str, Any]
) -> Iterator[tuple["Launch", Mapping[str, str]]]:
    if options.runner == "docker":
        from doctune.runner.docker import container_launch

        with container_launch(options.spec, Path(options.pipeline_root), arguments) as made:
            yield made
    else:
        from doctune.runner.launching import LocalPrograms

        yield (
            LocalPrograms(
                programs=json.loads(options.programs.read_text(encoding="utf-8")),
                storage=options.storage,
                overlays=_cache_root(options) / "overlays",
                refuse_folder_renames=options.refuse_folder_renames,
            ),
            {},
        )


def _cache_root(options: argparse.Namespace) -> Path:
    return Path(options.cache_root or Path(options.pipeline_root) / ".cache")


def _end_with_children(number: int, _frame: FrameType | None) -> None:
    ignore_signals()
    stop_children(grace_seconds=3)
    os._exit(128 + number)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--spec", type=Path, required=True, help="compiled YAML")
    parser.add_argument("--arguments", type=Path, required=True, help="JSON of pipeline parameters")
    parser.add_argument("--folder", type=Path, required=True, help="where events.jsonl goes")
    parser.add_argument(
        "--pipeline-root", required=True, help="where outputs go: a folder, or a gs:// URI"
    )
    parser.add_argument(
        "--programs", type=Path, required=True, help="JSON: image patterns to command lines"
    )
    parser.add_argument("--storage", type=Path, required=True, help="what stands for /gcs")
    parser.add_argument("--job-name", default="", help="the resource name of the pipeline job")
    parser.add_argument("--project-number", default="", help="the job's, part of its folder")
    parser.add_argument("--runner", choices=("subprocess", "docker"), default="subprocess")
    parser.add_argument(
        "--cache-root", type=Path, help="what is known of earlier outputs; else in --pipeline-root"
    )
    parser.add_argument("--no-cache", dest="cache", action="store_false", help="run every step")
    parser.add_argument("--fail-fast", action="store_true", help="start no step after a failure")
    parser.add_argument(
        "--refuse-folder-renames", action="store_true", help="under /gcs, as on flat buckets"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
