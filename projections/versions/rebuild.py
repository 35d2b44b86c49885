"""Rebuilding a view online: a new version is built beside the live one, compared, and switched to
in one step. Readers and writers go on all the while."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, Final, Literal, Protocol

from domain.errors import Fenced, ProjectionBehind, TicketbookError, VersionUnknown
from projections.running.applier import BATCH, Applier
from projections.running.projection import Parked
from projections.versions.expected import At
from projections.versions.followed import LiveProjection
from projections.versions.registry import Build
from projections.versions.repair import leading, settle_skipped
from projections.versions.verification import ViewMismatch, ViewReport

HAND_OVER: Final = 1.0
"""Seconds for which a new version is kept current from here after the switch: until then every
process has seen it and has a runner standing by, and readers notice no gap."""

_BREATH: Final = 0.01
_LOOK: Final = 0.2


class Builders(Protocol):
    """Whoever builds the shares, all at once."""

    def check(self) -> None:
        """Raises what one of them failed with."""


class Workers(Protocol):
    """Do what keeps a processor busy, beside whatever else goes on."""

    def build(self, projection: str, build: Build) -> AbstractContextManager[Builders]:
        """Start building every share of the build; leaving the context stops them."""

    def verify(self, projection: str, version: int, at: At) -> ViewReport:
        """What `verification.verify` finds of a version."""

    def compare(self, projection: str, live: int, new: int, at: At) -> Sequence[ViewMismatch]:
        """What `verification.compare` finds of two versions."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator wants of a rebuild.

    - `dry_run`: stop before the switch.
    - `accept_parked`: switch even if that parks tickets which the live version shows.
    - `rate`: events a second, 0 for as fast as it goes; None for what was asked of it before.
    """

    dry_run: bool = False
    accept_parked: bool = False
    rate: int | None = None


SWITCH: Final = Wanted()


Phase = Literal["building", "paused", "catching up", "comparing", "switched"]


@dataclass(frozen=True, slots=True)
class Step:
    """How far a rebuild has come. `phase` says what it is at."""

    phase: Phase
    position: int
    head: int
    events_per_second: float


State = Literal["switched", "compared", "refused", "cancelled"]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of a rebuild.

    - `state`: `switched`; `compared` when told to stop before the switch; `refused` when the new
      version is not what the log says, or parks what the live one shows; `cancelled` by an
      operator.
    - `live`: where the version that was live differs from the new one, and so from the log.
    - `new`: the comparison of the new version with the log; None when cancelled.
    - `parked`: the tickets that the new version parks where the live one went on.
    """

    state: State
    version: int
    position: int
    live: Sequence[ViewMismatch]
    new: ViewReport | None
    parked: Sequence[Parked] = ()


Tell = Callable[[Step], None]


def rebuild(
    projection: LiveProjection[Any],
    head: Callable[[], int],
    holder: str,
    workers: Workers,
    shares: int,
    tell: Tell,
    wanted: Wanted = SWITCH,
    *,
    hand_over: float = HAND_OVER,
    stop: Callable[[], None] = lambda: None,
) -> Rebuilt:
    """Build a new version, compare it, and switch to it, as far as that is `wanted`.

    One that was interrupted is resumed where it stopped, and one that was compared only, or
    refused, is brought up to date: what it alone parks is tried again. `stop` is called every now
    and then, and may raise to interrupt. Raises `Fenced` when somebody else rebuilds instead.
    """
    build = projection.versions.begin(head(), shares)
    if wanted.rate is not None:
        projection.versions.control(rate=wanted.rate)
    try:
        with leading(projection.projected(build.version), holder) as (applier, held):

            def check() -> None:
                held()
                stop()

            rebuilt = _Rebuild(projection, build, applier, head, workers, tell, check).end(wanted)
            if rebuilt.state == "switched":
                with suppress(Fenced):  # then somebody leads it already
                    _hand_over(applier, hand_over)
        return rebuilt
    except TicketbookError:
        if build.version in projection.versions.registry().versions:
            raise
        return _cancelled(build)  # it was pulled from under us


class _Rebuild:
    """One rebuild, by whoever holds the lease of the new version. `check` may raise, and is called
    all the while."""

    def __init__(
        self,
        projection: LiveProjection[Any],
        build: Build,
        applier: Applier[Any],
        head: Callable[[], int],
        workers: Workers,
        tell: Tell,
        check: Callable[[], None],
    ) -> None:
        self._projection = projection
        self._name = projection.projection.name
        self._versions = projection.versions
        self._build = build
        self._view = projection.versions.view(build.version)
        self._applier = applier
        self._head = head
        self._workers = workers
        self._tell = tell
        self._check = check

    def end(self, wanted: Wanted) -> Rebuilt:
        """Go on from wherever it stands to its end."""
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
                self._catch_up()  # the live version has taken in more meanwhile
        rebuilt = self._ended("switched", new, differing, parked)
        self._tell(Step("switched", rebuilt.position, rebuilt.position, 0.0))
        self._projection.look()
        return rebuilt

    def _is_built(self) -> bool:
        """Have every share built; False when an operator gave the build up."""
        if self._view.checkpoint():
            return True  # it was complete already
        build, pace = self._build, _Pace(self._reached())
        with self._workers.build(self._name, build) as builders:
            while True:
                self._check()
                building = self._versions.registry().building
                if building is None or building.version != build.version:
                    return False
                position = self._reached()
                phase: Phase = "paused" if building.paused else "building"
                self._tell(Step(phase, position, self._head(), pace.at(position)))
                if position >= build.target:
                    break
                builders.check()
                sleep(_LOOK)
        self._view.complete(build.target)
        return True

    def _reached(self) -> int:
        """How far the share is that is furthest behind."""
        loaded = self._view.loaded()
        return min(int(loaded.get(number, 0)) for number in range(self._build.partitions))

    def _try_parked_again(self) -> None:
        for waiting in self._newly_parked():
            self._check()
            self._applier.go_on(waiting.ticket_id)

    def _catch_up(self) -> None:
        behind, pace = True, _Pace(self._applier.position)
        while behind:  # not until nothing is left: more may come all the time
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
        """Wait for as long as an operator wants it paused; the rate that he asks for. Raises
        `VersionUnknown` once it is given up."""
        while True:
            self._check()
            building = self._versions.registry().building
            if building is None or building.version != self._build.version:
                raise VersionUnknown(f"Version {self._build.version} is no longer being built.")
            if not building.paused:
                return building.rate
            position = self._applier.position
            self._tell(Step("paused", position, max(self._head(), position), 0.0))
            sleep(_LOOK)

    def _settle_skipped(self) -> None:
        projected = self._projection.projected(self._build.version)
        settle_skipped(projected, self._applier, self._check)

    def _compared(self) -> tuple[ViewReport, Sequence[ViewMismatch]]:
        """The new version held against the log, and the live one against the new."""
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
        """The tickets that the new version parks where the live one went on. What the live one has
        yet to come to, it may park as well."""
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
        unshown = {one.ticket_id for one in parked}  # that is what differs of those
        live = [one for one in differing if one.ticket_id not in unshown]
        return Rebuilt(state, self._build.version, self._applier.position, live, new, parked)


class _Pace:
    """Positions a second, from where it began."""

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
        sleep(_BREATH)
