"""Runs one compiled spec with kfp.local: the process behind `doctune run` and local PipelineJobs.

    python -m doctune.runner.worker --spec FILE --arguments FILE --folder FOLDER
        --pipeline-root FOLDER --programs FILE --storage FOLDER [--runner docker] [--no-cache]

Events go to `FOLDER/events.jsonl`, outputs under `--pipeline-root`. A container component runs as
what `--programs` has for its image; `--storage` holds a folder for each bucket. Exit code 0 is
success, 1 a failed step, 2 arguments that do not fit the spec.
"""

import argparse
import json
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from doctune.runner.events import Event, EventLog

if TYPE_CHECKING:
    from doctune.runner.cache import CodeAwareCache

_ITERATION = re.compile(r"-iteration-(\d+)$")


def main() -> int:
    """Runs the pipeline that the command line names; returns the exit code."""
    options = _arguments()
    signal.signal(signal.SIGTERM, _end_with_children)
    signal.signal(signal.SIGINT, _end_with_children)
    # kfp.local warns of every display name and machine setting, which have no meaning here.
    warnings.filterwarnings("ignore", category=UserWarning)
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    log = EventLog(options.folder / "events.jsonl")
    arguments = json.loads(options.arguments.read_text(encoding="utf-8"))
    with _runner(options, arguments) as (runner, image_ids):
        return run_spec(
            options.spec,
            arguments,
            options.pipeline_root,
            log,
            runner=runner,
            image_ids=image_ids,
            cache_root=options.cache_root or options.pipeline_root / ".cache",
            enable_caching=options.cache,
            fail_fast=options.fail_fast,
        )


def run_spec(
    spec: Path,
    arguments: dict[str, Any],
    pipeline_root: Path,
    log: EventLog,
    *,
    runner: Any,
    image_ids: Mapping[str, str],
    cache_root: Path,
    enable_caching: bool,
    fail_fast: bool,
) -> int:
    """Runs a compiled spec in this process; returns the exit code.

    Args:
        runner: One of kfp.local's runners.
        image_ids: As `cache.install` takes them.
        cache_root: Where outputs that may be used again are noted.
        fail_fast: Whether no further step starts once one has failed, but for exit handlers.
    """
    from kfp import components, local
    from kfp.dsl.types.type_utils import InconsistentTypeException
    from kfp.local.orchestrator import task_executor

    from doctune.runner import cache

    local.init(
        runner=runner,
        pipeline_root=str(pipeline_root),
        workspace_root=str(pipeline_root / ".workspace"),
        enable_caching=enable_caching,
        cache_root=str(cache_root),
    )
    step_cache = cache.install(str(cache_root), image_ids)
    execute = task_executor.execute_single_task
    task_executor.execute_single_task = _watched(execute, log, step_cache, fail_fast=fail_fast)
    pipeline = components.load_component_from_file(str(spec))
    try:
        pipeline(**_as_declared(arguments, pipeline))
    except (TypeError, ValueError, InconsistentTypeException) as error:
        log.write(Event(kind="run_failed", error=_one_line(error)))
        return 2
    except RuntimeError as error:
        log.write(Event(kind="run_failed", error=_one_line(error)))
        return 1
    finally:
        task_executor.execute_single_task = execute
    log.write(Event(kind="run_succeeded"))
    return 0


@contextmanager
def _runner(
    options: argparse.Namespace, arguments: dict[str, Any]
) -> Iterator[tuple[Any, Mapping[str, str]]]:
    if options.runner == "docker":
        from doctune.runner.docker import docker_runner

        with docker_runner(options.spec, options.pipeline_root, arguments) as made:
            yield made
    else:
        from kfp.local import SubprocessRunner

        from doctune.runner import container_components

        programs = json.loads(options.programs.read_text(encoding="utf-8"))
        container_components.install(programs, os.environ, options.storage)
        yield SubprocessRunner(use_venv=False), {}


def _as_declared(arguments: dict[str, Any], pipeline: Any) -> dict[str, Any]:
    """Returns the arguments with whole numbers as floats where the spec says so, as Vertex does."""
    inputs = pipeline.component_spec.inputs or {}
    return {
        name: float(value)
        if type(value) is int and name in inputs and inputs[name].type == "Float"
        else value
        for name, value in arguments.items()
    }


def _watched(execute: Any, log: EventLog, step_cache: "CodeAwareCache", *, fail_fast: bool) -> Any:
    """Wraps kfp.local's execution of one task, so that its start and end are reported."""
    from kfp.local.status import Status

    def execute_and_report(**kwargs: Any) -> Any:
        if fail_fast and kwargs["fail_stack"] and not _runs_after_all(kwargs["task_spec"]):
            return {}, Status.FAILURE
        name = kwargs["task_name"]
        shown = kwargs["task_spec"].task_info.name or name
        about: dict[str, Any] = {
            "task": name,
            "display_name": shown,
            "iteration": _iteration(kwargs["pipeline_resource_name"]),
        }
        log.write(Event(kind="task_started", **about))
        step_cache.forget_latest()
        start = time.monotonic()
        error = ""
        outputs: dict[str, Any] = {}
        try:
            outputs, status = execute(**kwargs)
        except Exception as problem:
            error, status = _one_line(problem), Status.FAILURE
            raise
        finally:
            seconds = time.monotonic() - start
            kind: Any = "task_failed"
            if not error and status == Status.SUCCESS:
                kind = "task_cached" if step_cache.latest_was_hit else "task_succeeded"
            log.write(
                Event(
                    kind=kind,
                    **about,
                    seconds=round(seconds, 3),
                    outputs={key: _plain(value) for key, value in outputs.items()},
                    error=error,
                )
            )
        return outputs, status

    return execute_and_report


def _runs_after_all(task_spec: Any) -> bool:
    strategy = task_spec.trigger_policy.strategy
    return bool(strategy == task_spec.TriggerPolicy.TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED)


def _iteration(scope: str) -> int | None:
    """Returns the round of the innermost loop, which kfp.local tells in the name of its scope."""
    found = _ITERATION.search(scope)
    return int(found[1]) if found else None


def _plain(value: Any) -> Any:
    from kfp import dsl

    if isinstance(value, dsl.Artifact):
        return {
            "uri": value.uri,
            "metadata": value.metadata,
            "schema_title": type(value).schema_title,
        }
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _end_with_children(number: int, _frame: Any) -> None:
    children = psutil.Process().children(recursive=True)
    for child in children:
        child.terminate()
    _, alive = psutil.wait_procs(children, timeout=3)
    for child in alive:
        child.kill()
    os._exit(128 + number)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spec", type=Path, required=True, help="compiled YAML")
    parser.add_argument("--arguments", type=Path, required=True, help="JSON of pipeline parameters")
    parser.add_argument("--folder", type=Path, required=True, help="where events.jsonl goes")
    parser.add_argument("--pipeline-root", type=Path, required=True, help="where outputs go")
    parser.add_argument(
        "--programs", type=Path, required=True, help="JSON: image patterns to command lines"
    )
    parser.add_argument("--storage", type=Path, required=True, help="what stands for /gcs")
    parser.add_argument("--runner", choices=("subprocess", "docker"), default="subprocess")
    parser.add_argument(
        "--cache-root", type=Path, help="what is known of earlier outputs; else in --pipeline-root"
    )
    parser.add_argument("--no-cache", dest="cache", action="store_false", help="run every step")
    parser.add_argument("--fail-fast", action="store_true", help="start no step after a failure")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
