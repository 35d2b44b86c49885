"""The status of projections: how far each version is behind the head of the log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from domain.errors import EventUnreadable
from projections.running.projection import Lease, Parked, Projected, Skipped
from projections.versions.followed import LiveProjection
from projections.versions.registry import Build

Role = Literal["live", "kept", "building"]
State = Literal["current", "behind", "down", "building", "paused", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStatus:
    """The status of one version.

    - `lag_seconds`: the age of the oldest event not yet applied; 0.0 when there is none, and while
      a version is loaded in bulk, as no reader waits for it.
    - `state` of a version that follows the log: `current`, `behind` (it moves), `down` (no running
      process holds the lease). Of a version being built: `building`, `paused`, `stopped` (no
      process builds it; repeating the rebuild goes on with it).
    - `complete`: the version being built has all rows up to its position, as after a dry run.
    - `build`: the orders to its builder; None when it is not being built.
    """

    version: int
    role: Role
    state: State
    position: int
    head: int
    lag_events: int
    lag_seconds: float
    lease: Lease | None
    parked: Sequence[Parked]
    build: Build | None = None
    complete: bool = False

    @property
    def progress(self) -> float | None:
        """The part of the build that is done, from 0 to 1; None when it is not being built."""
        if self.build is None:
            return None
        return min(self.position / self.build.target, 1.0) if self.build.target else 1.0


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """A projection's versions: the live one first, then those kept, then the one being built; and
    the events that all versions pass over."""

    name: str
    versions: Sequence[VersionStatus]
    skipped: Sequence[Skipped]

    @property
    def live_version(self) -> VersionStatus:
        return self.versions[0]


def status(projection: LiveProjection[Any]) -> ProjectionStatus:
    """The status as the store has it now."""
    registry = projection.versions.registry()
    statuses = [version_status(projection.projected(registry.live), registry.live, "live")]
    statuses += [
        version_status(projection.projected(version), version, "kept") for version in registry.kept
    ]
    if registry.building:
        statuses.append(
            _building(projection.projected(registry.building.version), registry.building)
        )
    skipped = list(projection.versions.skipped().values())
    return ProjectionStatus(projection.projection.name, statuses, skipped)


def lag(projection: LiveProjection[Any]) -> int:
    """The number of events that readers do not see yet."""
    projected = projection.projected(projection.versions.registry().live)
    return max(projected.log.head() - projected.view.checkpoint(), 0)


def version_status(projected: Projected[Any], version: int, role: Role) -> VersionStatus:
    """The status of a version that follows the log."""
    position, lease = projected.view.checkpoint(), projected.leases.current(projected.view.name)
    head = projected.log.head()
    state: State = "behind" if position < head else "current"
    if lease is None or lease.expired:
        state = "down"
    return VersionStatus(
        version=version,
        role=role,
        state=state,
        position=position,
        head=head,
        lag_events=max(head - position, 0),
        lag_seconds=_lag_seconds(projected, position, head),
        lease=lease,
        parked=_parked(projected),
    )


def _building(projected: Projected[Any], build: Build) -> VersionStatus:
    loaded = projected.view.loaded()
    reached = min(loaded.get(number, 0) for number in range(build.partitions))
    complete = projected.view.checkpoint()
    position = complete or reached
    lease, head = projected.leases.current(projected.view.name), projected.log.head()
    state: State = "paused" if build.paused else "building"
    if lease is None or lease.expired:
        state = "stopped"
    return VersionStatus(
        version=build.version,
        role="building",
        state=state,
        position=position,
        head=head,
        lag_events=max(head - position, 0),
        lag_seconds=_lag_seconds(projected, position, head) if complete else 0.0,
        lease=lease,
        parked=_parked(projected),
        build=build,
        complete=bool(complete),
    )


def _parked(projected: Projected[Any]) -> Sequence[Parked]:
    return sorted(projected.view.parked().values(), key=lambda parked: parked.position)


def _lag_seconds(projected: Projected[Any], position: int, head: int) -> float:
    """Seconds since the event after `position` was recorded."""
    if position >= head:
        return 0.0
    try:
        oldest = projected.log.read(position, 1)
    except EventUnreadable:
        return 0.0  # its age is unknown; the runner passes over it
    seconds = [(projected.clock() - recorded.recorded_at).total_seconds() for recorded in oldest]
    return max([*seconds, 0.0])
