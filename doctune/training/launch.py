"""Starts one training worker for each GPU of a machine, by torchrun, and collects their result.

A pipeline step or a custom job starts one process per machine, which would use only one GPU. Where
there are several, it starts `python -m doctune.training` once for each, by torchrun. Where there
are several machines, torchrun gets their addresses from Vertex AI's environment.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from doctune.errors import TrainingError
from doctune.processes import start_process
from doctune.training.options import TrainingOptions
from doctune.training.outputs import TrainingSummary
from doctune.vertex_environment import rendezvous

logger = logging.getLogger("doctune.training")

# After SIGTERM each worker saves a checkpoint; torchrun waits 30 seconds for them.
_GRACE_SECONDS = 60.0


def tune_on_every_gpu(
    train_path: Path,
    validation_path: Path,
    model_dir: Path,
    options: TrainingOptions,
    *,
    curves_path: Path | None = None,
    caps: Sequence[str] = (),
    processes: int | None = None,
) -> TrainingSummary:
    """As `tune_model`, with one process for each GPU of this machine.

    Args:
        processes: Number of processes on this machine; None for one per GPU, and at least one.

    Raises:
        DatasetError, ModelError, TrainingError: As `tune_model`; an error of a worker process
            becomes a TrainingError with its message.
    """
    count = _gpus() if processes is None else processes
    if count < 2:
        from doctune.training.tune import tune_model

        return tune_model(
            train_path, validation_path, model_dir, options, curves_path=curves_path, caps=caps
        )
    logger.info("Training with %s processes on this machine, one for each GPU", count)
    with tempfile.TemporaryDirectory(prefix="doctune-workers-") as scratch:
        result = Path(scratch, "result.json")
        command = [
            *(sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={count}"),
            *_machines(),
            *("-m", "doctune.training", "--train", train_path, "--validation", validation_path),
            *("--model-dir", model_dir, "--options", options.model_dump_json()),
            *("--caps", json.dumps(list(caps)), "--result", result),
            *(("--curves", curves_path) if curves_path else ()),
        ]
        code = _run([str(part) for part in command])
        return _read(result, code, count)


def _gpus() -> int:
    import torch

    # A process that torchrun started is itself a worker, and uses one GPU.
    return 1 if "LOCAL_RANK" in os.environ else torch.cuda.device_count()


def _machines() -> list[str]:
    """Returns torchrun's arguments for the other machines, or for a single one on a free port."""
    others = rendezvous(os.environ)
    if int(others.get("WORLD_SIZE", "1")) > 1:
        return [
            f"--nnodes={others['WORLD_SIZE']}",
            f"--node-rank={others['RANK']}",
            f"--master-addr={others['MASTER_ADDR']}",
            f"--master-port={others['MASTER_PORT']}",
        ]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return ["--master-addr=127.0.0.1", f"--master-port={listener.getsockname()[1]}"]


def _run(command: Sequence[str]) -> int:
    # Standard output is reserved for this process' own summary.
    process = start_process(command, stdout=2, environment=_environment())
    with _forwarded_termination(process):
        return process.wait()


def _environment() -> dict[str, str]:
    # These variables describe machines; torchrun sets them again for processes.
    mine = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    return {name: value for name, value in os.environ.items() if name not in mine}


@contextmanager
def _forwarded_termination(process: subprocess.Popen[str]) -> Iterator[None]:
    """Forwards SIGTERM while the block runs, so that the workers save a checkpoint."""

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return

    def tell(number: int, frame: FrameType | None) -> None:
        process.send_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, tell)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _read(result: Path, code: int, count: int) -> TrainingSummary:
    """Returns the summary that the first worker of this machine wrote.

    Raises:
        TrainingError: A worker failed.
    """
    errors = sorted(result.parent.glob(f"{result.name}.error-*"))
    # Workers that stopped because another failed say so; the original error is more useful.
    told = sorted(
        (path.read_text(encoding="utf-8") for path in errors),
        key=lambda text: "lost another worker" in text or "Stopped by SIGTERM" in text,
    )
    if code or not result.is_file():
        reason = told[0] if told else f"torchrun ended with {code}: see the log above"
        raise TrainingError(f"One of the {count} training processes failed: {reason}")
    values = json.loads(result.read_text(encoding="utf-8"))
    return TrainingSummary(**{**values, "caps": tuple(values["caps"])})
