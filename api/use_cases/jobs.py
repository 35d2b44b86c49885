"""Jobs run in this process while it serves; any process can read their records."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from threading import Event, Thread
from time import sleep
from typing import Any, Final

from domain.errors import JobRunning, StoreRefused, StoreUnavailable, TicketbookError
from domain.log.ports import Clock
from domain.origin import milliseconds
from infrastructure.jobs import Job, Jobs
from projections.running.projection import Leases
from projections.versions.outcome import Step

LEASE_SECONDS: Final = 5.0
"""A job whose process has not renewed its lease for so long is shown as interrupted."""

_HEARTBEAT: Final = 0.5
_PATIENCE: Final = 10.0


class _Stopped(Exception):
    """The process ends."""


_log = logging.getLogger(__name__)


class JobRunner:
    """Starts jobs: at a time one of a kind per projection, over all processes."""

    def __init__(
        self, records: Jobs, leases: Leases, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        self._records = records
        self._leases = leases
        self._clock = clock
        self._new_id = new_id
        self._stop = Event()
        self._threads: list[Thread] = []

    def start(
        self,
        kind: str,
        projection: str,
        by: str,
        reason: str | None,
        work: Callable[["RunningJob"], Mapping[str, Any]],
    ) -> Job:
        """Do `work` in the background; returns the job's record as it begins. The result of `work`
        becomes the job's. Raises `JobRunning`."""
        started_at = milliseconds(self._clock())
        operation = Job(self._new_id(), kind, projection, "running", by, reason, started_at)
        if self._leases.acquire(_lease(operation), operation.id, LEASE_SECONDS) is None:
            raise JobRunning(
                f"There is an operation of this kind on {projection} already. "
                "See /v1/operations, and wait for its end."
            )
        self._records.keep(operation)
        _log.info(
            "job.started kind=%s projection=%s by=%r id=%s", kind, projection, by, operation.id
        )
        running = RunningJob(operation, self._stop)
        thread = Thread(
            target=self._run, args=(running, work), name=f"{kind}-{projection}", daemon=True
        )
        self._threads = [started for started in self._threads if started.is_alive()] + [thread]
        thread.start()
        return operation

    def find(self, job_id: str) -> Job | None:
        """The record as it is now, whichever process runs the job."""
        job = self._records.find(job_id)
        return job and self._seen(job)

    def latest(self, before: str | None, limit: int) -> Sequence[Job]:
        return [self._seen(job) for job in self._records.latest(before, limit)]

    def close(self) -> None:
        """Interrupt what runs here."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_PATIENCE)

    def _seen(self, operation: Job) -> Job:
        if operation.state != "running":
            return operation
        lease = self._leases.current(_lease(operation))
        if lease and lease.holder == operation.id and not lease.expired:
            return operation
        again = self._records.find(operation.id) or operation  # it may just have ended
        return replace(again, state="interrupted") if again.state == "running" else again

    def _run(
        self, running: "RunningJob", work: Callable[["RunningJob"], Mapping[str, Any]]
    ) -> None:
        ended = Event()
        living = Thread(target=self._keep_alive, args=(running, ended), daemon=True)
        living.start()
        try:
            result = work(running)
            last = replace(running.operation, state="done", result=result)
        except _Stopped:
            last = replace(running.operation, state="interrupted")
        except Exception as error:
            last = replace(running.operation, state="failed", error=self._explain(running, error))
        finally:
            ended.set()
            living.join()
        _log.info(
            "job.ended kind=%s projection=%s state=%s id=%s error=%r",
            last.kind,
            last.projection,
            last.state,
            last.id,
            last.error,
        )
        with suppress(TicketbookError):  # then it is seen to be interrupted
            self._records.keep(replace(last, finished_at=milliseconds(self._clock())))
            self._leases.release(_lease(last), last.id)

    def _keep_alive(self, running: "RunningJob", ended: Event) -> None:
        """Say again and again how far it has come, and that it lives."""
        while not ended.wait(_HEARTBEAT):
            with suppress(TicketbookError):
                self._leases.acquire(_lease(running.operation), running.operation.id, LEASE_SECONDS)
                self._records.keep(running.operation)

    def _explain(self, running: "RunningJob", error: Exception) -> str:
        import structlog  # only a job that fails logs, and few commands start one

        operation, log = running.operation, structlog.get_logger(__name__)
        log.error("operation.failed", id=operation.id, kind=operation.kind, problem=str(error))
        if isinstance(error, StoreRefused) or (
            isinstance(error, TicketbookError) and not isinstance(error, StoreUnavailable)
        ):
            return str(error)
        return "It failed: the log of the service says why. Start it again: it goes on."


class RunningJob:
    """A job while it runs."""

    def __init__(self, operation: Job, stop: Event) -> None:
        self.operation = operation
        self._stop = stop

    def check(self) -> None:
        """Raises when the process ends."""
        if self._stop.is_set():
            raise _Stopped

    def wait(self, seconds: float) -> None:
        """Until nobody reads what is to be deleted."""
        self.check()
        self.operation = replace(self.operation, phase="waiting until nobody reads it")
        sleep(seconds)

    def tell(self, step: Step) -> None:
        """Note how far it has come. Raises when the process ends."""
        self.check()
        self.operation = replace(
            self.operation,
            phase=step.phase,
            position=step.position,
            head=step.head,
            rate=round(step.events_per_second, 1),
        )


def _lease(operation: Job) -> str:
    return f"{operation.kind} {operation.projection}"
