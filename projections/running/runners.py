"""Keeping all views of a process current, in one pass over the log."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from functools import partial
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, Final

from domain.errors import EventUnreadable
from domain.log.ports import EventLog
from domain.ticket.events import Recorded
from projections.running.applier import BATCH, Applier, Prepared
from projections.running.collecting import rarely_collecting
from projections.running.progress import Progress
from projections.running.projection import TakeSteps
from projections.running.runner import HEARTBEAT, Runner

GATHER: Final = 0.02
"""Seconds in which events gather after a step, unless a reader waits for them or a view is far
behind. A transaction costs a store as much as some hundred events in it."""

FAR: Final = 4_000
"""Events in one transaction of a view that is further behind than that. Indexes in random order
cost less the more rows share a page; clients that write at the same time wait for it."""

PATIENCE: Final = 0.5
"""Seconds after which the others no longer wait for the turn of a runner."""

_THREADS: Final = 16
"""Most turns at a time, stuck ones included."""


class Runners:
    """One thread that leads the work of all runners of a process, in rounds.

    It reads and decodes an event once for all views that stand at the same place. In a round each
    runner has a turn, in a thread of its own: one that fails or is stuck holds up no other.

    - `head`: the last known position of the log. The thread wakes as soon as it grows.
    - `take`: stores the steps of a round together. If None, each turn stores its own.
    """

    def __init__(self, head: Progress, take: TakeSteps | None = None) -> None:
        self._head = head
        self._take = take
        self._runners: tuple[Runner[Any], ...] = ()
        self._leaving: list[tuple[Runner[Any], Event]] = []
        self._lock = Lock()
        self._wake = Event()
        self._awaited = Event()
        self._running = False

    def add(self, runner: Runner[Any]) -> None:
        runner.progress.awaited = self._awaited
        with self._lock:
            self._runners += (runner,)
            if not self._running:
                self._running = True
                Thread(target=self._run, name="runners", daemon=True).start()
        self._wake.set()

    def remove(self, runner: Runner[Any]) -> None:
        """Have the runner finish the batch at hand and give its lease up."""
        left = Event()
        with self._lock:
            if runner not in self._runners:
                return
            self._leaving.append((runner, left))
        self._wake.set()
        left.wait()

    def _run(self) -> None:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="runner") as pool:
            reading = _Reading(pool)
            while runners := self._wake_up():
                for runner in runners:
                    runner.tend()
                limit = self._limit()
                with rarely_collecting() if limit == FAR else nullcontext():
                    most = self._round(pool, reading, limit)
                if most == 0:
                    self._sleep()
                elif most < limit:
                    self._awaited.wait(GATHER)
                    self._awaited.clear()

    def _wake_up(self) -> Sequence[Runner[Any]]:
        """The runners, without the ones that leave; the thread ends with the last."""
        self._wake.clear()
        with self._lock:
            leaving = [(runner, left) for runner, left in self._leaving if not runner.turn]
            self._leaving = [pair for pair in self._leaving if pair not in leaving]
            gone = [runner for runner, _ in leaving]
            self._runners = tuple(runner for runner in self._runners if runner not in gone)
            self._running = bool(self._runners)
            runners = self._runners
        for runner, left in leaving:
            runner.leave()
            left.set()
        return runners

    def _positions(self) -> list[int]:
        """The positions of the views that are led and whose runners are free."""
        return [r.applier.position for r in self._runners if r.applier and not r.turn]

    def _limit(self) -> int:
        behind = [self._head.position - position for position in self._positions()]
        # all of them far behind: a view that is current must not wait for one that is not
        return FAR if behind and min(behind) > FAR else BATCH

    def _round(self, pool: ThreadPoolExecutor, reading: "_Reading", limit: int) -> int:
        """A turn for every runner that is free. Returns the most events that one of them took."""
        most = 0
        begun: list[Future[Any]] = []
        for runner in self._runners:
            if runner.applier and not runner.turn:
                with runner.failing():
                    events, work = self._turn(runner.applier, runner.projected.log, reading, limit)
                    runner.advance()
                    if work:
                        runner.turn = pool.submit(work)
                        begun.append(runner.turn)
                        most = max(most, events)
        if most == limit:
            reading.ahead(limit)
        wait(begun, PATIENCE)
        self._finish([runner for runner in self._runners if runner.turn and runner.turn.done()])
        return most

    def _turn(
        self, applier: Applier[Any], log: EventLog, reading: "_Reading", limit: int
    ) -> tuple[int, Callable[[], Prepared[Any] | None] | None]:
        """The number of events in the next turn of a view, and its work. None if there is none."""
        try:
            events = reading.after(log, applier.position, limit)
        except EventUnreadable as error:
            return 1, partial(applier.pass_over, error.ticket_id, error.position, error)
        if not events:
            return 0, None
        return len(events), partial(applier.prepare if self._take else applier.apply, events)

    def _finish(self, runners: Sequence[Runner[Any]]) -> None:
        prepared: list[tuple[Runner[Any], Applier[Any], Prepared[Any]]] = []
        for runner in runners:
            turn, runner.turn = runner.turn, None
            with _working(runner) as applier:
                if turn and (ready := turn.result()):
                    prepared.append((runner, applier, ready))
        if not prepared or not self._take:
            return
        errors = self._take([ready.step for _, _, ready in prepared])
        for (runner, applier, ready), failure in zip(prepared, errors, strict=True):
            with _working(runner):
                applier.settle(ready, failure)

    def _sleep(self) -> None:
        for runner in self._runners:
            if runner.turn:
                runner.turn.add_done_callback(lambda _: self._wake.set())
        due = [runner.due for runner in self._runners if not runner.turn]
        positions = self._positions()
        cancel = self._head.when(min(positions) + 1, self._wake.set) if positions else None
        self._wake.wait(max(min(due) - monotonic(), 0.0) if due else HEARTBEAT)
        if cancel:
            cancel()


@contextmanager
def _working(runner: Runner[Any]) -> Iterator[Applier[Any]]:
    """The applier of a runner that leads. Readers hear of a success, and an error is the runner's
    alone."""
    with runner.failing():
        assert runner.applier
        yield runner.applier
        runner.advance()


class _Reading:
    """The slice of the log that was read last, for views that stand at the same place, and the one
    after it, which is read and decoded while the views are stored."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._log: EventLog | None = None
        self._after = 0
        self._events: Sequence[Recorded] = ()
        self._ahead: Future[Sequence[Recorded]] | None = None

    def after(self, log: EventLog, position: int, limit: int) -> Sequence[Recorded]:
        """At most `limit` events after `position`. Raises `EventUnreadable` if the first of them
        is unreadable."""
        if log is self._log and position >= self._after:
            events = [event for event in self._events if event.position > position]
            if events:
                return events[:limit]
        ahead, self._ahead = self._ahead, None
        end = self._events[-1].position if self._events else None
        if ahead and (log, position) == (self._log, end):
            events_read = ahead.result()
        else:
            events_read = log.read(position, limit)
        self._log, self._after, self._events = log, position, events_read
        return events_read

    def ahead(self, limit: int) -> None:
        """Begin to read the next slice."""
        if self._ahead is None and self._log and self._events:
            self._ahead = self._pool.submit(self._log.read, self._events[-1].position, limit)
