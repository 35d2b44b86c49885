"""Building the shares of a new view version in processes of their own: decoding events keeps a
processor busy, and neither the service nor the operator's terminal should wait for it."""

import gc
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from api.composition import now, open_stores, projection_kinds
from domain.errors import StoreUnavailable
from infrastructure.settings import Settings
from infrastructure.ticket_log import TicketLog
from projections.build import build_share
from projections.projection import Projected
from projections.rebuild import Builders, StartBuilders
from projections.versions import Build


def shares() -> int:
    """How many shares to build at once on this machine: half of its processors go on serving."""
    return max(1, (os.cpu_count() or 1) // 2)


def builders(settings: Settings) -> StartBuilders:
    """One process per share, on the store that the settings name."""
    return partial(_start, settings)


@contextmanager
def _start(settings: Settings, name: str, build: Build) -> Iterator[Builders]:
    context = multiprocessing.get_context("spawn")
    started: list[BaseProcess] = []
    pipes: list[Connection] = []
    try:
        for number in range(build.shares):
            ours, theirs = context.Pipe(duplex=False)
            arguments = (settings, name, build, number, os.getpid(), theirs)
            process = context.Process(target=_run, args=arguments, daemon=True)
            process.start()
            theirs.close()
            started.append(process)
            pipes.append(ours)
        yield _Processes(started, pipes)
    finally:
        for running in started:
            running.terminate()
        for ended in started:
            ended.join()
        for pipe in pipes:
            pipe.close()


class _Processes:
    def __init__(self, processes: Sequence[BaseProcess], pipes: Sequence[Connection]) -> None:
        self._processes = processes
        self._pipes = pipes

    def check(self) -> None:
        for process, pipe in zip(self._processes, self._pipes, strict=True):
            if process.exitcode:
                said = pipe.recv() if pipe.poll() else f"exit code {process.exitcode}"
                raise StoreUnavailable(
                    f"A process that builds the view ended early: {said}. "
                    "Repeat the command: it goes on where the build stopped."
                )


def _run(
    settings: Settings, name: str, build: Build, number: int, parent: int, pipe: Connection
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us decides when to stop
    os.nice(5)
    gc.disable()  # millions of objects without a cycle: looking for one takes a third of the time
    try:
        with open_stores(settings) as stores:
            projection, versions = projection_kinds(stores)[name]
            view = versions.view(build.version)
            log, skipped = TicketLog(stores.log), versions.skipped
            projected = Projected(projection, view, log, stores.leases, now, skipped)
            build_share(projected, versions, build, number, lambda: os.getppid() == parent)
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
        raise SystemExit(1) from None
