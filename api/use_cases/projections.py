"""The tasks that operators give for a projection, over HTTP or on the command line.

Each task is prepared first, and refused there if it cannot be done. Then the way in records it in
the journal, unless it is a dry run, and runs it: at once, or as a job.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from api.use_cases.service import Service
from api.use_cases.workers import partition_count
from infrastructure.ids import holder
from projections.versions import control
from projections.versions.followed import LiveProjection
from projections.versions.outcome import Rebuilt, Step
from projections.versions.rebuild import RebuildContext, Wanted, rebuild
from projections.versions.repair import RepairReport, check
from projections.versions.status import ProjectionStatus, status

Result = TypeVar("Result")


class Monitor(Protocol):
    """Follows a task while it runs. Each method may raise, to interrupt the task."""

    def tell(self, step: Step) -> None:
        """Hear how far the task has come."""

    def check(self) -> None:
        """Called often, with nothing to tell."""

    def wait(self, seconds: float) -> None:
        """Let time pass, until nobody reads what is to be deleted."""


@dataclass(frozen=True, slots=True)
class Task(Generic[Result]):
    """Something to do to a projection.

    - `kind`: of the job, like `drop-old`.
    - `action`: in the journal, like `projection.old_dropped`.
    - `dry_run`: `run` changes nothing and says what would happen.
    """

    kind: str
    action: str
    dry_run: bool
    run: Callable[[Monitor], Result]


def prepare_rebuild(
    service: Service, projection: LiveProjection[Any], wanted: Wanted
) -> Task[Rebuilt]:
    """Build a new version, compare it, and switch to it, as far as that is `wanted`. Raises
    `StoreRefused` before hours of work are in vain."""
    if not wanted.dry_run:
        projection.versions.rehearse_switch()

    def run(monitor: Monitor) -> Rebuilt:
        context = RebuildContext(
            projection=projection,
            head=service.log.head,
            holder=holder(),
            workers=service.workers,
            partitions=partition_count(),
            tell=monitor.tell,
            stop=monitor.check,
        )
        return rebuild(context, wanted)

    return Task("rebuild", "projection.rebuilt", wanted.dry_run, run)


def prepare_roll_back(projection: LiveProjection[Any], *, dry_run: bool) -> Task[int]:
    """Switch back to the version that was live before; results in its number. Raises
    `VersionUnknown` when none is kept, `StoreRefused`."""
    version = control.earlier(projection)
    projection.versions.rehearse_switch()

    def run(_: Monitor) -> int:
        return version if dry_run else control.roll_back(projection, holder())

    return Task("rollback", "projection.rolled_back", dry_run, run)


def prepare_drop_old(projection: LiveProjection[Any], *, dry_run: bool) -> Task[Sequence[int]]:
    """Delete the versions that are kept beside the live one; results in their numbers.
    Raises `StoreRefused`."""
    projection.versions.rehearse_drop()

    def run(monitor: Monitor) -> Sequence[int]:
        if dry_run:
            return control.droppable(projection)
        return control.drop_old(projection, monitor.wait)

    return Task("drop-old", "projection.old_dropped", dry_run, run)


def prepare_cancel(projection: LiveProjection[Any], *, dry_run: bool) -> Task[int]:
    """Give up the version that is being built, and delete it; results in its number. Raises
    `VersionUnknown` when none is being built, also while it runs; raises `StoreRefused`."""
    building = control.control(projection)
    projection.versions.rehearse_drop()

    def run(monitor: Monitor) -> int:
        if not dry_run and control.cancel(projection, monitor.wait) is None:
            raise control.too_late(projection, building)
        return building.version

    return Task("cancel", "projection.rebuild_cancelled", dry_run, run)


def prepare_verify(
    service: Service,
    projection: LiveProjection[Any],
    *,
    before_repair: Callable[[int], None] | None,
    dry_run: bool,
) -> Task[RepairReport]:
    """Compare the live version with the log; with `before_repair`, unless it is a dry run, call
    that with the number of rows to repair, and then repair them."""

    def run(monitor: Monitor) -> RepairReport:
        version, head = projection.versions.registry().live, service.log.head()
        started = monotonic()

        def at(position: int) -> None:
            rate = position / max(monotonic() - started, 1e-9)
            monitor.tell(Step("comparing", position, head, rate))

        verified = partial(service.workers.verify, projection.projection.name, version, at)
        mending = None if dry_run else before_repair
        return check(projection.projected(version), verified, holder(), mending)

    return Task("verify", "projection.verified", dry_run, run)


def statuses(service: Service) -> Sequence[ProjectionStatus]:
    """The status of every projection, read afresh from the store."""
    return [status(projection) for projection in service.projections.values()]
