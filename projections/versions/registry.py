"""The versions of a projection's view: one is live, another may be being built, others are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from domain.errors import ProjectionBehind, VersionUnknown
from projections.running.projection import Skipped, View

V_co = TypeVar("V_co", bound=View[Any], covariant=True)


@dataclass(frozen=True, slots=True)
class Build:
    """A version that is being built in bulk.

    - `target`: the position of the log up to which it is built.
    - `partitions`: the number of partitions that the tickets are divided into.
    - `paused` and `rate` (events a second, None for no limit): the orders of operators.
    """

    version: int
    target: int
    partitions: int
    paused: bool
    rate: int | None


@dataclass(frozen=True, slots=True)
class Registry:
    """The versions of one view. Readers see `live`. It and the versions in `kept`, the last one to
    be live first, follow the log, so that a switch back costs nothing."""

    live: int
    kept: Sequence[int]
    building: Build | None

    @property
    def versions(self) -> Sequence[int]:
        """The numbers of all of them."""
        return (self.live, *self.kept, *([self.building.version] if self.building else []))

    def switch(self, to: int) -> "Registry":
        """The registry once version `to` is live and the version that was live is kept."""
        if to == self.live:
            return self
        without = self.forget(to)
        return replace(without, live=to, kept=(self.live, *without.kept))

    def forget(self, version: int) -> "Registry":
        """The registry without a version that was kept or being built."""
        remaining = tuple(number for number in self.kept if number != version)
        building = self.building
        if building and building.version == version:
            building = None
        return Registry(self.live, remaining, building)


def check_known(name: str, registry: Registry, version: int) -> None:
    """Raise `VersionUnknown` unless the version is kept or being built. `name` is the
    projection's."""
    if version == registry.live or version not in registry.versions:
        raise VersionUnknown(
            f"{name} has no version {version} beside the live one, {registry.live}. "
            "See ticketbook projections status."
        )


def check_caught_up(name: str, version: int, *, position: int, live_position: int) -> None:
    """Raise `ProjectionBehind` if a version to switch to is behind the live one: readers would see
    the view go back."""
    if position < live_position:
        raise ProjectionBehind(
            f"Version {version} of {name} is behind the live one. Try again in a moment."
        )


def number_of(view: str) -> int:
    """The version that a view's name ends in."""
    return int(view.rpartition("@")[2])


def leftovers(views: Sequence[str], registry: Registry) -> Sequence[int]:
    """The versions, of the views with these names, that are not registered."""
    numbers = [number_of(view) for view in views]
    return [number for number in numbers if number not in registry.versions]


class Versions(Protocol[V_co]):
    """The versions of one projection in a store.

    Every method raises `StoreUnavailable` when the store does not answer.
    """

    def registry(self) -> Registry:
        """The registry as it is now: it is read each time."""

    def view(self, version: int) -> V_co:
        """The view of that version, whether it exists or not. Reads nothing."""

    def begin(self, target: int, partitions: int) -> Build:
        """Make a new, empty version to build. If one is being built already, return that one
        unchanged."""

    def control(self, *, paused: bool | None = None, rate: int | None = None) -> Build | None:
        """Change the orders to the builder that are given (`rate` 0 lifts the limit). None if no
        version is being built."""

    def rehearse_switch(self) -> None:
        """Try beforehand all that `switch` needs, and change nothing. Raises `StoreRefused`, naming
        the privilege that is missing."""

    def rehearse_drop(self) -> None:
        """Try beforehand all that `forget` and `drop` need, and change nothing. Raises
        `StoreRefused`, naming the privilege that is missing."""

    def switch(self, to: int) -> None:
        """Make version `to`, being built or kept, the live one, and keep the version that was live,
        in one atomic step.

        Rehearsed first, so that it happens whole or not at all: raises `StoreRefused`.
        Raises `ProjectionBehind` when `to` is behind the live version, as readers would see the
        view go back. Raises `VersionUnknown`.
        """

    def forget(self, version: int) -> None:
        """Take a version, being built or kept, out of the registry: no reader begins to use it any
        more, and runners let go of it. Raises `VersionUnknown`."""

    def drop(self, version: int) -> None:
        """Delete the stored rows of a forgotten version. A registered version stays."""

    def skip(self, event: Skipped) -> None:
        """Have every version pass over the event from now on. A runner learns of it when it takes
        over. An event that is skipped already keeps its first reason."""

    def skipped(self) -> Mapping[int, Skipped]:
        """The skipped events, by position."""

    def leftovers(self) -> Sequence[int]:
        """Forgotten versions that still have stored rows: a process is deleting them, or was killed
        while deleting them."""

    def publish(self) -> None:
        """Show the live version to readers outside the service under its well-known name, where
        the store has such readers. Raises `ConfigurationError` when something else has the name."""
