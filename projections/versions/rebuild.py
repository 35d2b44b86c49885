"""Rebuilding a view online: build a new version beside the live one, compare it, and switch to it
in one step. Readers and writers go on meanwhile."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, Final

from domain.errors import Fenced, ProjectionBehind, TicketbookError, VersionUnknown
from projections.running.applier import BATCH, Applier
from projections.running.projection import Parked
from projections.versions.followed import LiveProjection
from projections.versions.outcome import Phase, Rebuilt, State, Step, Tell
from projections.versions.registry import Build
from projections.versions.repair import leading, settle_skipped
from projections.versions.verification import ViewMismatch, ViewReport
from projections.versions.workers import Workers

HAND_OVER: Final = 1.0
"""Seconds after the switch for which this process still keeps the new version current. By then
every process has seen the switch and has a runner for it, so that readers notice no gap."""

_STEP_PAUSE: Final = 0.01
"""Seconds between two steps of the new version after the switch."""

_POLL_SECONDS: Final = 0.2
"""Seconds between two looks at the builders' progress and at the orders of operators."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of a rebuild.

    - `dry_run`: stop before the switch.
    - `accept_parked`: switch even if the new version parks tickets that the live one shows.
    - `rate`: events a second, 0 for no limit; None leaves the limit as it was.
    """

    dry_run: bool = False
    accept_parked: bool = False
    rate: int | None = None


SWITCH: Final = Wanted()


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildContext:
    """The surroundings of a rebuild.

    - `head`: returns the present head of the log.
    - `holder`: the name of the holder of the new version's lease.
    - `partitions`: the number of partitions to build at once. A build that goes on keeps its own.
    - `tell`: called with the progress; `stop`: called often. Both may raise to interrupt.
    - `hand_over`: seconds, see `HAND_OVER`.
    """

    projection: LiveProjection[Any]
    head: Callable[[], int]
    holder: str
    workers: Workers
    partitions: int
    tell: Tell = lambda _: None
    stop: Callable[[], None] = lambda: None
    hand_over: float = HAND_OVER


def rebuild(context: RebuildContext, wanted: Wanted = SWITCH) -> Rebuilt:
    """Build a new version, compare it, and switch to it, as far as that is `wanted`.

    An interrupted build goes on where it stopped. A version that was compared only, or refused, is
    brought up to date, and the tickets that it alone parks are tried again. Raises `Fenced` when
    another process rebuilds instead.
    """
    versions = context.projection.versions
    build = versions.begin(context.head(), context.partitions)
    if wanted.rate is not None:
        versions.control(rate=wanted.rate)
    try:
        projected = context.projection.projected(build.version)
        with leading(projected, context.holder) as (applier, held):

            def check() -> None:
                held()
                context.stop()

            rebuilt = _Rebuild(context, build, applier, check).end(wanted)
            if rebuilt.state == "switched":
                with suppress(Fenced):  # another process leads it already
                    _hand_over(applier, context.hand_over)
        return rebuilt
    except TicketbookError:
        if build.version in versions.registry().versions:
            raise
        return _cancelled(build)  # an operator dropped it meanwhile


class _Rebuild:
    """One rebuild, by the holder of the new version's lease. `check` is called often and may raise
    to interrupt."""

    def __init__(
        self,
        context: RebuildContext,
        build: Build,
        applier: Applier[Any],
        check: Callable[[], None],
    ) -> None:
        self._projection = context.projection
        self._name = context.projection.projection.name
        self._versions = context.projection.versions
        self._build = build
        self._view = self._versions.view(build.version)
        self._applier = applier
        self._head = context.head
        self._workers = context.workers
        self._tell = context.tell
        self._check = check

    def end(self, wanted: Wanted) -> Rebuilt:
        """Go on from the present state of the build to its end."""
        begun = bool(self._view.loaded())
        if not self._is_built():
            return _cancelled(self._build)
        self._settle_skipped()
        if begun:
            self._try_parked_again()
        self._catch_up()
        new, differing = self._compared()
        if not wanted.dry_run:
            self._catch_up()
        while True:
            self._heed()
            parked = self._newly_parked()
            if new.mismatches or (parked and not wanted.accept_parked):
                return self._ended("refused", new, differing, parked)
            if wanted.dry_run:
                return self._ended("compared", new, differing, parked)
            try:
                self._versions.switch(self._build.version)
                break
            except ProjectionBehind:
                self._catch_up()  # the live version has moved on meanwhile
        rebuilt = self._ended("switched", new, differing, parked)
        self._tell(Step("switched", rebuilt.position, rebuilt.position, 0.0))
        self._projection.look()
        return rebuilt

    def _is_built(self) -> bool:
        """Build every partition; False when an operator cancelled the build."""
        if self._view.checkpoint():
            return True  # it was complete already
        build, began_at = self._build, self._loaded()
        pace = _Pace(began_at)
        with self._workers.build(self._name, build) as builders:
            while True:
                self._check()
                building = self._versions.registry().building
                if building is None or building.version != build.version:
                    return False
                position = max(builders.reached(), began_at)
                phase: Phase = "paused" if building.paused else "building"
                self._tell(Step(phase, position, self._head(), pace.at(position)))
                if position >= build.target and self._loaded() >= build.target:
                    break  # else they ended because the build was cancelled just now
                sleep(_POLL_SECONDS)
        self._view.complete(build.target)
        return True

    def _loaded(self) -> int:
        """The position up to which every partition is stored."""
        loaded = self._view.loaded()
        return min(int(loaded.get(number, 0)) for number in range(self._build.partitions))

    def _try_parked_again(self) -> None:
        for waiting in self._newly_parked():
            self._check()
            self._applier.go_on(waiting.ticket_id)

    def _catch_up(self) -> None:
        behind, pace = True, _Pace(self._applier.position)
        while behind:  # until a step was not full: events may come all the time
            rate, began = self._heed(), monotonic()
            most = min(rate or BATCH, BATCH)
            done = self._applier.step(most)
            behind = done == most
            position = self._applier.position
            head = max(self._head(), position)
            self._tell(Step("catching up", position, head, pace.at(position)))
            if rate and behind:
                sleep(max(0.0, done / rate - (monotonic() - began)))

    def _heed(self) -> int | None:
        """Wait while an operator has the build paused; returns the rate in events a second. Raises
        `VersionUnknown` once the build is cancelled."""
        while True:
            self._check()
            building = self._versions.registry().building
            if building is None or building.version != self._build.version:
                raise VersionUnknown(f"Version {self._build.version} is no longer being built.")
            if not building.paused:
                return building.rate
            position = self._applier.position
            self._tell(Step("paused", position, max(self._head(), position), 0.0))
            sleep(_POLL_SECONDS)

    def _settle_skipped(self) -> None:
        projected = self._projection.projected(self._build.version)
        settle_skipped(projected, self._applier, self._check)

    def _compared(self) -> tuple[ViewReport, Sequence[ViewMismatch]]:
        """Compare the new version with the log, and the live version with the new one."""
        self._settle_skipped()  # an operator may have skipped something meanwhile
        pace, end, version = _Pace(0), self._applier.position, self._build.version

        def at(position: int) -> None:
            self._check()
            self._tell(Step("comparing", position, end, pace.at(position)))

        at(0)
        new = self._workers.verify(self._name, version, at)
        at(end)
        live = self._versions.registry().live
        return new, self._workers.compare(self._name, live, version, lambda _: self._check())

    def _newly_parked(self) -> Sequence[Parked]:
        """The tickets that the new version parks and the live one does not. Events that the live
        one has not reached do not count: it may park them as well."""
        parked_new = self._view.parked()
        live = self._versions.view(self._versions.registry().live)
        position, parked_live = live.checkpoint(), live.parked()
        return [
            parked
            for ticket_id, parked in parked_new.items()
            if parked.position <= position
            and (ticket_id not in parked_live or parked_live[ticket_id].position > parked.position)
        ]

    def _ended(
        self,
        state: State,
        new: ViewReport,
        differing: Sequence[ViewMismatch],
        parked: Sequence[Parked],
    ) -> Rebuilt:
        parked_ids = {ticket.ticket_id for ticket in parked}  # these differ because they are parked
        live = [mismatch for mismatch in differing if mismatch.ticket_id not in parked_ids]
        return Rebuilt(state, self._build.version, self._applier.position, live, new, parked)


class _Pace:
    """The mean speed since the start, in positions a second."""

    def __init__(self, position: int) -> None:
        self._began, self._started = position, monotonic()

    def at(self, position: int) -> float:
        return (position - self._began) / max(monotonic() - self._started, 1e-9)


def _cancelled(build: Build) -> Rebuilt:
    return Rebuilt("cancelled", build.version, 0, (), None)


def _hand_over(applier: Applier[Any], seconds: float) -> None:
    until = monotonic() + seconds
    while monotonic() < until:
        applier.step()
        sleep(_STEP_PAUSE)
