"""Rebuilding a view online: a new version is built beside the live one, compared, and switched to
in one step. Readers and writers go on all the while."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, Final, Literal, Protocol

from domain.errors import Fenced, ProjectionBehind, TicketbookError, VersionUnknown
from projections.applier import BATCH, Applier
from projections.live import FRESH, LiveProjection
from projections.operations import leading
from projections.projection import Parked, View
from projections.verification import At, Difference, Verification
from projections.versions import Build

DROP_AFTER: Final = 5 * FRESH
"""Seconds between taking a version out of the registry and deleting it: every process has looked
again by then, and the reads that had begun are over."""

HAND_OVER: Final = 1.0
"""Seconds for which a new version is kept current from here after the switch: until then every
process has seen it and has a runner standing by, and readers notice no gap."""

_BREATH: Final = 0.01
_LOOK: Final = 0.2
_PATIENCE: Final = 30.0
"""Seconds that a switch waits for a version to catch up."""


class Builders(Protocol):
    """Whoever builds the shares, all at once."""

    def check(self) -> None:
        """Raises what one of them failed with."""


class Workers(Protocol):
    """Do what keeps a processor busy, beside whatever else goes on."""

    def build(self, projection: str, build: Build) -> AbstractContextManager[Builders]:
        """Start building every share of the build; leaving the context stops them."""

    def verify(self, projection: str, version: int, at: At) -> Verification:
        """What `verification.verify` finds of a version."""

    def compare(self, projection: str, live: int, new: int, at: At) -> Sequence[Difference]:
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


@dataclass(frozen=True, slots=True)
class Step:
    """How far a rebuild has come. `phase` says what it is at."""

    phase: Literal["building", "paused", "catching up", "comparing", "switched"]
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
    live: Sequence[Difference]
    new: Verification | None
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
        return _rebuilt(projection, build, head, holder, workers, tell, wanted, hand_over, stop)
    except TicketbookError:
        if build.version in projection.versions.registry().versions:
            raise
        return Rebuilt("cancelled", build.version, 0, (), None)  # it was pulled from under us


def _rebuilt(
    projection: LiveProjection[Any],
    build: Build,
    head: Callable[[], int],
    holder: str,
    workers: Workers,
    tell: Tell,
    wanted: Wanted,
    hand_over: float,
    stop: Callable[[], None],
) -> Rebuilt:
    name, versions = projection.projection.name, projection.versions
    projected = projection.projected(build.version)
    with leading(projected, holder) as (applier, held):

        def check() -> None:
            held()
            stop()

        begun = bool(projected.view.loaded())
        if not _build(projection, build, head, workers, check, tell):
            return Rebuilt("cancelled", build.version, 0, (), None)
        applier.resume()
        for waiting in _newly_parked(projection, projected.view) if begun else ():
            check()
            applier.go_on(waiting.ticket_id)
        started, began = monotonic(), applier.position

        def catch_up() -> None:
            behind = True
            while behind:  # not until nothing is left: more may come all the time
                behind = applier.step() == BATCH
                check()
                rate = (applier.position - began) / max(monotonic() - started, 1e-9)
                tell(Step("catching up", applier.position, max(head(), applier.position), rate))

        catch_up()
        compared_since = monotonic()

        def comparing(position: int) -> None:
            check()
            rate = position / max(monotonic() - compared_since, 1e-9)
            tell(Step("comparing", position, applier.position, rate))

        comparing(0)
        new = workers.verify(name, build.version, comparing)
        comparing(applier.position)
        shown = versions.registry().live
        differing = workers.compare(name, shown, build.version, lambda _: check())

        def ended(state: State) -> Rebuilt:
            unshown = {one.ticket_id for one in parked}  # that is what differs of those
            live = [one for one in differing if one.ticket_id not in unshown]
            return Rebuilt(state, build.version, applier.position, live, new, parked)

        if not wanted.dry_run:
            catch_up()
        while True:
            parked = _newly_parked(projection, projected.view)
            if new.differences or (parked and not wanted.accept_parked):
                return ended("refused")
            if wanted.dry_run:
                return ended("compared")
            try:
                versions.switch(build.version)
                break
            except ProjectionBehind:
                catch_up()  # the live version has taken in more meanwhile
        found = ended("switched")
        tell(Step("switched", found.position, found.position, 0.0))
        projection.look()
        with suppress(Fenced):  # then somebody leads it already
            _hand_over(applier, hand_over)
    return found


def _newly_parked(projection: LiveProjection[Any], new: View[Any]) -> Sequence[Parked]:
    """The tickets that the new version parks where the live one went on. What the live one has yet
    to come to, it may park as well."""
    found = new.parked()
    live = projection.versions.view(projection.versions.registry().live)
    position, there = live.checkpoint(), live.parked()
    return [
        parked
        for ticket_id, parked in found.items()
        if parked.position <= position
        and (ticket_id not in there or there[ticket_id].position > parked.position)
    ]


def _hand_over(applier: Applier[Any], seconds: float) -> None:
    until = monotonic() + seconds
    while monotonic() < until:
        applier.step()
        sleep(_BREATH)


def _build(
    projection: LiveProjection[Any],
    build: Build,
    head: Callable[[], int],
    workers: Workers,
    check: Callable[[], None],
    tell: Tell,
) -> bool:
    """Have every share built; False when an operator gave the build up."""
    view = projection.versions.view(build.version)
    if view.checkpoint():
        return True  # it was complete already
    began, started = min(_reached(view.loaded(), build)), monotonic()
    with workers.build(projection.projection.name, build) as builders:
        while True:
            check()
            asked = projection.versions.registry().building
            if asked is None or asked.version != build.version:
                return False
            position = min(_reached(view.loaded(), build))
            rate = (position - began) / max(monotonic() - started, 1e-9)
            tell(Step("paused" if asked.paused else "building", position, head(), rate))
            if position >= build.target:
                break
            builders.check()
            sleep(_LOOK)
    view.complete(build.target)
    return True


def _reached(loaded: Mapping[int, int], build: Build) -> list[int]:
    return [loaded.get(number, 0) for number in range(build.shares)]


def earlier(projection: LiveProjection[Any]) -> int:
    """The version that was live before. Raises `VersionUnknown` when none is kept."""
    kept = projection.versions.registry().kept
    if not kept:
        raise VersionUnknown(
            f"{projection.projection.name} has no earlier version to go back to. "
            "One is kept after each rebuild, until drop-old."
        )
    return int(kept[0])


def roll_back(projection: LiveProjection[Any]) -> int:
    """Switch back to the version that was live before; returns its number. Raises
    `VersionUnknown` when none is kept, `ProjectionBehind` when it does not catch up."""
    kept = earlier(projection)
    deadline = monotonic() + _PATIENCE
    while True:
        try:
            projection.versions.switch(kept)
            break
        except ProjectionBehind:
            if monotonic() > deadline:
                raise
            sleep(0.01)  # its own runner is catching up
    projection.look()
    return kept


def drop_old(projection: LiveProjection[Any], wait: Callable[[float], None] = sleep) -> list[int]:
    """Delete every version that is kept beside the live one, and what is left of those that
    somebody was killed at deleting; which those were."""
    kept = list(projection.versions.registry().kept)
    return _drop(projection, kept, projection.versions.leftovers(), wait)


def droppable(projection: LiveProjection[Any]) -> list[int]:
    """The versions that `drop_old` would delete."""
    return [*projection.versions.registry().kept, *projection.versions.leftovers()]


def control(
    projection: LiveProjection[Any], *, paused: bool | None = None, rate: int | None = None
) -> Build:
    """Ask something of whoever builds, where given, and tell what is asked of him now. Raises
    `VersionUnknown` when nothing is being built."""
    build = projection.versions.control(paused=paused, rate=rate)
    if build is None:
        raise VersionUnknown(
            f"No version of {projection.projection.name} is being built. "
            "See ticketbook projections status."
        )
    return build


def cancel(projection: LiveProjection[Any], wait: Callable[[float], None] = sleep) -> int | None:
    """Give up the version that is being built, and delete it; its number, or None if there is
    none, or it was switched to just now."""
    building = projection.versions.registry().building
    if building is None:
        return None
    try:
        return _drop(projection, [building.version], (), wait)[0]
    except VersionUnknown:
        return None


def too_late(projection: LiveProjection[Any], build: Build) -> VersionUnknown:
    """What to tell whoever wanted to cancel what is no longer being built."""
    name, switched = projection.projection.name, build.version in droppable(projection)
    if switched or projection.versions.registry().live == build.version:
        return VersionUnknown(
            f"Version {build.version} of {name} was switched to meanwhile; nothing is cancelled. "
            f"ticketbook projections rollback {name} goes back."
        )
    return VersionUnknown(f"Somebody else cancelled version {build.version} of {name} meanwhile.")


def _drop(
    projection: LiveProjection[Any],
    registered: list[int],
    left: Sequence[int],
    wait: Callable[[float], None],
) -> list[int]:
    for version in registered:
        projection.versions.forget(version)
    projection.look()
    numbers = [*registered, *left]
    if numbers:
        wait(DROP_AFTER)
    for version in numbers:
        projection.versions.drop(version)
    return numbers
