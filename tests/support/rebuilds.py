"""A store with a past, and rebuilding its views without processes for the partitions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from domain.log.ports import Clock
from domain.ticket.events import Recorded
from infrastructure.log.ticket_log import TicketLog
from infrastructure.log.writer import Writer
from projections.running.applier import Applier
from projections.running.progress import Progress
from projections.running.projection import Projection
from projections.versions.build import build_partition
from projections.versions.expected import At
from projections.versions.followed import LiveProjection
from projections.versions.outcome import Rebuilt, Step
from projections.versions.rebuild import SWITCH, RebuildContext, Wanted, rebuild
from projections.versions.registry import Build
from projections.versions.verification import ViewMismatch, ViewReport, compare, verify
from projections.versions.workers import Builders
from tests.support.stories import (
    START,
    catalogue,
    change,
    create,
    id_,
    imported,
    quarantine,
    rename,
    restore,
    retire,
    take_over,
)
from tests.support.view_rows import Opened


class _Done:
    """Builders that have ended: a failure would have been raised at once."""

    def __init__(self, target: int) -> None:
        self._target = target

    def reached(self) -> int:
        return self._target


class Here:
    """Workers that do it themselves, before anything else happens."""

    def __init__(self, projection: LiveProjection[Any]) -> None:
        self._projection = projection

    @contextmanager
    def build(self, projection: str, build: Build) -> Iterator[Builders]:
        for number in range(build.partitions):
            projected = self._projection.projected(build.version)
            build_partition(projected, self._projection.versions, build, number)
        yield _Done(build.target)

    def verify(self, projection: str, version: int, at: At) -> ViewReport:
        return verify(self._projection.projected(version), at)

    def compare(self, projection: str, live: int, new: int, at: At) -> Sequence[ViewMismatch]:
        return compare(self._projection.projected(live), self._projection.projected(new), at)


def rebuilt(
    projection: LiveProjection[Any],
    head: Callable[[], int],
    *,
    partitions: int = 2,
    tell: Callable[[Step], None] = lambda _: None,
    wanted: Wanted = SWITCH,
    hand_over: float = 0.0,
) -> Rebuilt:
    context = RebuildContext(
        projection=projection,
        head=head,
        holder="operator",
        workers=Here(projection),
        partitions=partitions,
        tell=tell,
        hand_over=hand_over,
    )
    return rebuild(context, wanted)


def catch_up(applier: Applier[Any]) -> None:
    while applier.step():
        pass


class House:
    """A store with a past, and one process that looks at it and runs nothing."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.log, self.head = TicketLog(opened.log), Progress()
        self.writer = Writer(self.log, catalogue, lambda: START, lambda _: None)

    def live(
        self, projection: Projection[Any], clock: Clock = lambda: START
    ) -> LiveProjection[Any]:
        stores = self.opened.stores
        versions: Any = stores.tickets if projection.name == "tickets" else stores.audit
        return LiveProjection(
            projection, versions, self.log, stores.leases, clock, str, runners=None
        )

    def fill(self) -> None:
        """Every kind of event: twenty-seven events of eleven tickets and a quarantined record."""
        for n in range(4, 11):
            self.writer.execute(create(id_(n)), rename(f"Name {n}", id_(n)))
        self.writer.execute(create(id_(1)))
        self.writer.execute(take_over(imported(), id_(3)))
        self.writer.execute(quarantine("no hex at all"))
        self.writer.execute(change("delete_area", ticket_id=id_(1)), retire(id_(1)))
        self.writer.execute(rename("Third", id_(3), at=200))
        self.writer.execute(restore(id_(1)), quarantine(id_(1)))
        self.writer.execute(create(id_(2)), retire(id_(2)))
        self.writer.execute(create(id_(11)), create(id_(12)), create(id_(13)))


def followed(live: LiveProjection[Any], version: int, fence: int = 1_000) -> Applier[Any]:
    """Brings a version to the head, as its runner would."""
    applier = Applier(live.projected(version), fence)
    catch_up(applier)
    return applier


def rows(live: LiveProjection[Any], version: int) -> list[tuple[Any, Any]]:
    return list(live.versions.view(version).rows())


def poisoned(projection: Projection[Any], ticket_id: str, *versions: int) -> Projection[Any]:
    """Can not project these versions of the ticket."""

    def project(row: Any, recorded: Recorded) -> Any:
        if recorded.ticket_id == ticket_id and recorded.version in versions:
            raise ZeroDivisionError("poisoned")
        return projection.project(row, recorded)

    return replace(projection, project=project)


def rows_without(house: House, projection: Projection[Any], *passed: int) -> list[tuple[Any, Any]]:
    """The rows of a fold over the log that passes over these positions, in order."""
    latest: dict[str, Any] = {}
    rows_by_key: dict[Any, Any] = {}
    for recorded in house.log.read(0, 1_000):
        if recorded.position not in passed:
            row = latest[recorded.ticket_id] = projection.project(
                latest.get(recorded.ticket_id), recorded
            )
            if row is not None:
                rows_by_key[recorded.position if projection.every else recorded.ticket_id] = row
    return sorted(rows_by_key.items())
