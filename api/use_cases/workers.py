"""Workers that build, verify and compare views, so that neither the service nor the operator's
terminal waits for a busy processor."""

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any, Final, Generic, TypeVar, cast

from api.use_cases.work import OpenStores, Unwanted, Work, Worker, ended_early
from api.use_cases.worker_threads import SMALL, WorkerThread
from infrastructure.clock import now
from infrastructure.configuration.settings import Settings
from infrastructure.log.ticket_log import TicketLog
from infrastructure.stores import Stores
from projections.running.projection import Projected
from projections.versions.build import build_partition
from projections.versions.expected import At
from projections.versions.registry import Build
from projections.versions.verification import ViewMismatch, ViewReport, compare, verify
from projections.versions.workers import Builders

T = TypeVar("T")

PROCESSES: Final = multiprocessing.get_context("spawn")
"""How processes are started: they share nothing with this one but their arguments."""

_NICENESS: Final = 10
"""A tenth of what others get of a processor that all of them want: clients notice little of that,
and where the processors are never idle a rebuild comes to its end all the same."""

_LOOK: Final = 0.2
"""Seconds between looks at whether somebody wants to interrupt."""


def partition_count() -> int:
    """The number of partitions to build at once on this machine: at least two, as the builders
    give way to the service; not one a processor, as each builder reads past the events of all."""
    return max(2, (os.cpu_count() or 1) // 2)


class Workers:
    """A process for each piece of work, on the store that the settings name. They give way to
    everything else that runs on the machine. While the log, as `head` tells, has at most `small`
    events, a thread does it instead: that takes no longer than to start a process."""

    def __init__(
        self,
        settings: Settings,
        open_stores: OpenStores,
        head: Callable[[], int],
        small: int = SMALL,
    ) -> None:
        self._settings = settings
        self._open_stores = open_stores
        self._head = head
        self._small = small

    @contextmanager
    def build(self, projection: str, build: Build) -> Iterator[Builders]:
        with ExitStack() as stack:
            yield _Builders(
                [
                    stack.enter_context(self._start(partial(_build, projection, build, number)))
                    for number in range(build.partitions)
                ],
                build.target,
            )

    def verify(self, projection: str, version: int, at: At) -> ViewReport:
        return self._result(partial(_verify, projection, version), at)

    def compare(self, projection: str, live: int, new: int, at: At) -> Sequence[ViewMismatch]:
        return self._result(partial(_compare, projection, live, new), at)

    def _result(self, work: Work[T], at: At) -> T:
        with self._start(work) as worker:
            while not worker.ended(_LOOK):
                at(worker.position)
            return worker.result()

    @contextmanager
    def _start(self, work: Work[T]) -> Iterator[Worker[T]]:
        worker: Worker[T]
        if self._head() <= self._small:
            worker = WorkerThread(self._settings, self._open_stores, work)
        else:
            worker = _Process(self._settings, self._open_stores, work)
        try:
            yield worker
        finally:
            worker.close()


class _Process(Generic[T]):
    """One piece of work, in a process that was started for it."""

    def __init__(self, settings: Settings, open_stores: OpenStores, work: Work[T]) -> None:
        self.position = 0
        self._said: tuple[str, Any] | None = None
        self._pipe, theirs = PROCESSES.Pipe(duplex=False)
        arguments = (settings, open_stores, work, theirs)
        self._process = PROCESSES.Process(target=_run, args=arguments, daemon=True)
        self._process.start()
        with suppress(ProcessLookupError):  # it failed already, and its end will say so
            os.setpriority(os.PRIO_PROCESS, self._process.pid or 0, _NICENESS)
        theirs.close()

    def ended(self, seconds: float) -> bool:
        """Listen to the process for at most so long; True once it has a result, or has failed."""
        while self._said is None and self._pipe.poll(seconds):
            try:
                self._hear(self._pipe.recv())
            except EOFError:
                self._process.join()
                self._hear(("failed", f"exit code {self._process.exitcode}"))
            seconds = 0.0
        return self._said is not None

    def _hear(self, said: tuple[str, Any]) -> None:
        kind, content = said
        if kind == "at":
            self.position = content
        else:
            self._said = said

    def result(self) -> T:
        """The result, once the process has ended. Raises `StoreUnavailable` with its failure."""
        assert self._said is not None
        kind, content = self._said
        if kind == "failed":
            raise ended_early(content)
        return cast(T, content)

    def close(self) -> None:
        self._process.terminate()
        self._process.join()
        self._pipe.close()


class _Builders:
    """The workers that build the partitions of one build."""

    def __init__(self, workers: Sequence[Worker[None]], target: int) -> None:
        self._running = list(workers)
        self._target = target

    def reached(self) -> int:
        for worker in [worker for worker in self._running if worker.ended(0)]:
            worker.result()
            self._running.remove(worker)
        return min([worker.position for worker in self._running], default=self._target)


def _run(settings: Settings, open_stores: OpenStores, work: Work[Any], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us decides when to stop
    gc.disable()  # millions of objects without a cycle: looking for one takes a third of the time

    parent = multiprocessing.parent_process()
    reported_at = 0.0

    def at(position: int) -> None:
        nonlocal reported_at
        if parent and not parent.is_alive():
            raise Unwanted
        if monotonic() - reported_at > _LOOK:
            pipe.send(("at", position))
            reported_at = monotonic()

    try:
        with open_stores(settings) as stores:
            pipe.send(("done", work(stores, at)))
    except (Unwanted, BrokenPipeError):
        raise SystemExit(1) from None
    except Exception as error:
        pipe.send(("failed", f"{type(error).__name__}: {error}"))
        raise SystemExit(1) from None


def _build(name: str, build: Build, number: int, stores: Stores, at: At) -> None:
    _, versions = stores.kind(name)
    build_partition(_projected(name, build.version, stores), versions, build, number, at)


def _verify(name: str, version: int, stores: Stores, at: At) -> ViewReport:
    return verify(_projected(name, version, stores), at)


def _compare(name: str, live: int, new: int, stores: Stores, at: At) -> Sequence[ViewMismatch]:
    return compare(_projected(name, live, stores), _projected(name, new, stores), at)


def _projected(name: str, version: int, stores: Stores) -> Projected[Any]:
    projection, versions = stores.kind(name)
    view, log = versions.view(version), TicketLog(stores.log)
    return Projected(projection, view, log, stores.leases, now, versions.skipped)
