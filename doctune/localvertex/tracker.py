"""The lifecycle of jobs: states, cancellation, restarts of the server."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status
from doctune.localvertex.background import BackgroundTasks
from doctune.localvertex.store import Store, Transaction

_STOPPED = "localvertex was stopped while this job ran."

logger = logging.getLogger("doctune.localvertex")


class JobFailedError(Exception):
    """A job failed; the message is the job's error."""

    def __init__(self, message: str, status: Status = Status.INTERNAL) -> None:
        super().__init__(message)
        self.error = ApiError(status, message).operation_error()


@dataclass(frozen=True)
class JobKind:
    """A type of job and the names of its states."""

    kind: str
    prefix: str = "JOB_STATE"

    def state(self, name: str) -> str:
        """Returns JOB_STATE_RUNNING for RUNNING."""
        return f"{self.prefix}_{name}"

    def is_over(self, job: Document) -> bool:
        """Whether a job has reached a state that it does not leave."""
        over = ("SUCCEEDED", "FAILED", "CANCELLED", "PARTIALLY_SUCCEEDED", "EXPIRED")
        return job.get("state") in {self.state(name) for name in over}


class Jobs:
    """Runs jobs and records their states."""

    def __init__(self, store: Store, tasks: BackgroundTasks) -> None:
        self._store, self._tasks = store, tasks
        self._running: dict[str, asyncio.Task[Any]] = {}

    def create(
        self,
        transaction: Transaction,
        kind: JobKind,
        job: Document,
        work: Callable[[], Awaitable[Document]],
    ) -> None:
        """Records a new job and starts its work once the transaction is committed.

        Args:
            work: Does the job and returns fields to set on it; raises JobFailedError, ApiError.
        """
        job["state"] = kind.state("PENDING")
        transaction.put(kind.kind, job["name"], job)
        transaction.after_commit(lambda: self._start(kind, job["name"], work))

    def update(self, kind: JobKind, name: str, **fields: Any) -> None:
        """Sets fields of a job; does nothing if it has been deleted."""
        with self._store.transaction() as transaction:
            job = transaction.find(kind.kind, name)
            if job is not None:
                job |= fields
                job["update_time"] = names.timestamp()
                transaction.put(kind.kind, name, job)

    def cancel(self, transaction: Transaction, kind: JobKind, name: str) -> None:
        """Cancels a job; one that is over stays as it is.

        Raises:
            ApiError: NOT_FOUND.
        """
        job = transaction.get(kind.kind, name)
        if kind.is_over(job):
            return
        job["state"] = kind.state("CANCELLING")
        transaction.put(kind.kind, name, job)
        if task := self._running.get(name):
            transaction.after_commit(task.cancel)

    def is_running(self, name: str) -> bool:
        """Whether a job is still running."""
        return name in self._running

    async def wait(self, name: str) -> None:
        """Waits until the work of a job has ended."""
        if task := self._running.get(name):
            await asyncio.wait([task])

    def fail_unfinished(self, transaction: Transaction, kind: JobKind) -> None:
        """Marks jobs that a previous server left running as failed."""
        for job in transaction.list(kind.kind):
            if not kind.is_over(job):
                moment = names.timestamp()
                job |= {
                    "state": kind.state("FAILED"),
                    "error": ApiError(Status.ABORTED, _STOPPED).operation_error(),
                    "end_time": moment,
                    "update_time": moment,
                }
                transaction.put(kind.kind, job["name"], job)

    def _start(self, kind: JobKind, name: str, work: Callable[[], Awaitable[Document]]) -> None:
        task = self._tasks.start(self._carry_out(kind, name, work))
        self._running[name] = task
        task.add_done_callback(lambda _: self._running.pop(name, None))

    async def _carry_out(
        self, kind: JobKind, name: str, work: Callable[[], Awaitable[Document]]
    ) -> None:
        outcome: Document
        try:
            self.update(kind, name, state=kind.state("RUNNING"), start_time=names.timestamp())
            outcome = {"state": kind.state("SUCCEEDED"), **await work()}
        except asyncio.CancelledError:
            error = ApiError(Status.CANCELLED, "The job was cancelled.")
            outcome = {"state": kind.state("CANCELLED"), "error": error.operation_error()}
        except JobFailedError as failure:
            outcome = {"state": kind.state("FAILED"), "error": failure.error}
        except ApiError as error:
            outcome = {"state": kind.state("FAILED"), "error": error.operation_error()}
        except Exception as error:
            logger.exception("job %s failed", name)
            internal = ApiError(Status.INTERNAL, f"Internal error: {error}")
            outcome = {"state": kind.state("FAILED"), "error": internal.operation_error()}
        self.update(kind, name, end_time=names.timestamp(), **outcome)
