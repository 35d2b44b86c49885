"""The versions of a projection's view: one is live, another is being built, others are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from projections.running.projection import Skipped, View

V_co = TypeVar("V_co", bound=View[Any], covariant=True)


@dataclass(frozen=True, slots=True)
class Build:
    """A version that is being built in bulk, up to position `target`, its tickets dealt out to
    `shares` shares. `paused` and `rate` (events a second, None for as fast as it goes) are what
    operators ask of whoever builds it."""

    version: int
    target: int
    shares: int
    paused: bool
    rate: int | None


@dataclass(frozen=True, slots=True)
class Registry:
    """Which versions there are. Readers are shown `live`; it and those in `kept` (the latest
    switched from first) follow the log, so that switching back costs nothing."""

    live: int
    kept: Sequence[int]
    building: Build | None

    @property
    def versions(self) -> Sequence[int]:
        """The numbers of all of them."""
        return (self.live, *self.kept, *([self.building.version] if self.building else []))


def number_of(view: str) -> int:
    """The version that a view's name ends in."""
    return int(view.rpartition("@")[2])


class Versions(Protocol[V_co]):
    """The versions of one projection in a store.

    Every method raises `StoreUnavailable` when the store does not answer.
    """

    def registry(self) -> Registry:
        """Read afresh."""

    def view(self, version: int) -> V_co:
        """The view of that version, whether it exists or not. Costs nothing."""

    def begin(self, target: int, shares: int) -> Build:
        """Make a new, empty version to build. If one is being built already: that one, as it
        is."""

    def control(self, *, paused: bool | None = None, rate: int | None = None) -> Build | None:
        """Change what is asked of the builder, where given (`rate` 0 lifts the limit); None when
        nothing is being built."""

    def switch(self, to: int) -> None:
        """Show readers version `to`, being built or kept, and keep the one that was live: in one
        atomic step.

        Raises `ProjectionBehind` when `to` does not stand where the live version stands: nobody
        may see the view go back. Raises `VersionUnknown`.
        """

    def forget(self, version: int) -> None:
        """Take a version, being built or kept, out of the registry: from then on nobody begins to
        read it, and runners let go of it. Raises `VersionUnknown`."""

    def drop(self, version: int) -> None:
        """Delete what is stored of a forgotten version. Drops nothing that is registered."""

    def skip(self, event: Skipped) -> None:
        """Have every version pass over the event from now on; whoever keeps one current learns of
        it when it takes over. An event that is skipped already stays as it is."""

    def skipped(self) -> Mapping[int, Skipped]:
        """The skipped events, by position."""

    def leftovers(self) -> Sequence[int]:
        """Versions of which something is stored though they are forgotten: somebody deletes them
        just now, or was killed at it."""

    def publish(self) -> None:
        """See to it that readers outside the service find the live version under its well-known
        name, where the store has such readers. Raises `NameTaken` when something that is not ours
        stands under that name."""
