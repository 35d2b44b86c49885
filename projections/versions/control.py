"""Operators' control of the versions of a view: switch back, delete old versions, and pause, slow
down or cancel a build."""

from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any, Final

from domain.errors import ProjectionBehind, VersionUnknown
from projections.versions.followed import FRESH, LiveProjection
from projections.versions.registry import Build
from projections.versions.repair import leading

DROP_AFTER: Final = 5 * FRESH
"""Seconds between taking a version out of the registry and deleting it. By then every process has
read the registry again, and the reads that had begun are over."""

_CATCH_UP_SECONDS: Final = 30.0
"""Seconds that a switch waits for a version to catch up."""


def earlier(projection: LiveProjection[Any]) -> int:
    """The version that was live before. Raises `VersionUnknown` when none is kept."""
    earlier_versions = projection.versions.registry().kept
    if not earlier_versions:
        raise VersionUnknown(
            f"{projection.projection.name} has no earlier version to go back to. "
            "One is kept after each rebuild, until drop-old."
        )
    return int(earlier_versions[0])


def roll_back(projection: LiveProjection[Any], holder: str) -> int:
    """Switch back to the version that was live before; returns its number. If no service keeps that
    version current, catch it up here. Raises `VersionUnknown` when none is kept, `ProjectionBehind`
    when it does not catch up."""
    version = earlier(projection)
    deadline = monotonic() + _CATCH_UP_SECONDS
    while True:
        try:
            projection.versions.switch(version)
            break
        except ProjectionBehind:
            if monotonic() > deadline:
                raise
            if _is_led(projection, version):
                sleep(0.01)  # its own runner is catching up
            else:
                _catch_up(projection, version, holder)
    projection.look()
    return version


def _is_led(projection: LiveProjection[Any], version: int) -> bool:
    projected = projection.projected(version)
    lease = projected.leases.current(projected.view.name)
    return lease is not None and not lease.expired


def _catch_up(projection: LiveProjection[Any], version: int, holder: str) -> None:
    with leading(projection.projected(version), holder) as (applier, check):
        while applier.step():
            check()


def drop_old(projection: LiveProjection[Any], wait: Callable[[float], None] = sleep) -> list[int]:
    """Delete every version that is kept beside the live one, and the remains of versions whose
    deletion was interrupted. Returns their numbers."""
    kept_versions = list(projection.versions.registry().kept)
    return _drop(projection, kept_versions, projection.versions.leftovers(), wait)


def droppable(projection: LiveProjection[Any]) -> list[int]:
    """The versions that `drop_old` would delete."""
    return [*projection.versions.registry().kept, *projection.versions.leftovers()]


def control(
    projection: LiveProjection[Any], *, paused: bool | None = None, rate: int | None = None
) -> Build:
    """Give the builder the orders that are not None; returns the build with all its orders. Raises
    `VersionUnknown` when nothing is being built."""
    build = projection.versions.control(paused=paused, rate=rate)
    if build is None:
        raise VersionUnknown(
            f"No version of {projection.projection.name} is being built. "
            "See ticketbook projections status."
        )
    return build


def cancel(projection: LiveProjection[Any], wait: Callable[[float], None] = sleep) -> int | None:
    """Cancel the version that is being built, and delete it. Returns its number; None if there is
    none, or if it was switched to just now."""
    building = projection.versions.registry().building
    if building is None:
        return None
    try:
        return _drop(projection, [building.version], (), wait)[0]
    except VersionUnknown:
        return None


def too_late(projection: LiveProjection[Any], build: Build) -> VersionUnknown:
    """The error for a cancellation that came after the end of the build."""
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
