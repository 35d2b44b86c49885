"""Rebuilding a view beside the live one, comparing it, and switching."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from threading import Event, Thread
from typing import Any

import pytest

from domain.errors import (
    Fenced,
    ProjectionBehind,
    StoreUnavailable,
    TicketNotParked,
    VersionUnknown,
)
from domain.ticket.events import Recorded
from projections.audit.projection import AUDIT
from projections.running.projection import Projection, ViewChange
from projections.tickets.projection import TICKETS
from projections.versions import build as build_module
from projections.versions import rebuild as rebuild_module
from projections.versions import repair as operations
from projections.versions.build import PartitionBuilder, build_partition
from projections.versions.control import cancel, drop_old, droppable, roll_back, too_late
from projections.versions.followed import LiveProjection
from projections.versions.outcome import Step
from projections.versions.parked import parked_anywhere, parked_in, retry_everywhere, skip
from projections.versions.rebuild import RebuildContext, Wanted, rebuild
from projections.versions.verification import verify
from tests.support.rebuilds import Here, House, followed, poisoned, rebuilt, rows
from tests.support.server import until
from tests.support.stories import START, create, id_, rename
from tests.support.view_rows import open_store

BOTH = pytest.mark.parametrize("projection", [TICKETS, AUDIT], ids=lambda p: p.name)


@pytest.fixture
def house(store_url: str) -> Iterator[House]:
    with open_store(store_url) as opened:
        house = House(opened)
        with closing(house.writer):
            house.fill()
            yield house


def gone(live: LiveProjection[Any], version: int) -> bool:
    """Whether nothing is stored of a version: SQLite even misses its table."""
    try:
        return rows(live, version) == []
    except StoreUnavailable:
        return True


@BOTH
@pytest.mark.parametrize("partitions", [1, 3])
def test_what_is_built_in_bulk_is_what_following_the_log_gives(
    house: House, projection: Projection[Any], partitions: int
) -> None:
    live = house.live(projection)
    followed(live, 1)
    steps: list[Step] = []
    found = rebuilt(live, house.log.head, partitions=partitions, tell=steps.append)

    assert (found.state, found.version, found.position) == ("switched", 2, house.log.head())
    assert (found.live, found.new and found.new.mismatches) == ([], [])
    assert rows(live, 2) == rows(live, 1)
    assert live.live_version.view.name == f"{projection.name}@2"
    assert (live.versions.registry().kept, live.versions.registry().building) == ((1,), None)
    assert list(dict.fromkeys(step.phase for step in steps)) == [
        "building",
        "catching up",
        "comparing",
        "switched",
    ]


@BOTH
def test_readers_see_no_switch_but_what_they_saw_goes_on(
    house: House, projection: Projection[Any]
) -> None:
    live = house.live(projection)
    followed(live, 1)
    rebuilt(live, house.log.head)
    house.writer.execute(rename("After", id_(5)))
    with pytest.raises(ProjectionBehind):  # nobody follows version 1 here
        followed(live, 2)
        live.versions.switch(1)
    followed(live, 1, fence=2_000)
    assert roll_back(live, "operator") == 1
    assert rows(live, 1) == rows(live, 2)
    assert live.versions.registry().kept == (2,)
    assert roll_back(live, "operator") == 2


@BOTH
def test_what_was_wrong_in_the_live_version_is_shown_and_right_in_the_new_one(
    house: House, projection: Projection[Any]
) -> None:
    live = house.live(projection)
    followed(live, 1)
    view, position = live.live_version.view, live.live_version.view.checkpoint()
    key = id_(5) if projection is TICKETS else 3
    row = view.stored([key])[key]
    wrong = replace(row, name="Eve") if projection is TICKETS else replace(row, actor="eve")
    gone = id_(7) if projection is TICKETS else 7
    view.apply(ViewChange(position, position, [(id_(5), wrong)]), 2_000)
    view.mend({gone: None}, 2_000)

    found = rebuilt(live, house.log.head)
    assert {(one.kind, one.key) for one in found.live} == {("changed", key), ("missing", gone)}
    assert verify(live.live_version.projected).mismatches == []


def test_a_dry_run_stops_before_the_switch_and_is_gone_on_with(house: House) -> None:
    live = house.live(TICKETS)
    followed(live, 1)
    assert rebuilt(live, house.log.head, wanted=Wanted(dry_run=True)).state == "compared"
    registry = live.versions.registry()
    assert (registry.live, registry.building and registry.building.version) == (1, 2)

    house.writer.execute(create(id_(50)))
    followed(live, 1, fence=2_000)
    found = rebuilt(live, house.log.head)
    assert (found.state, found.version, found.position) == ("switched", 2, house.log.head())
    assert rows(live, 2) == rows(live, 1)


@BOTH
@pytest.mark.parametrize("killed_after", [1, 2, 4, 9, 20])
def test_an_interrupted_build_goes_on_where_it_stopped_and_ends_the_same(
    house: House,
    projection: Projection[Any],
    killed_after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build_module, "SLICE", 1)
    monkeypatch.setattr(build_module, "FLUSH_SECONDS", 0.0)
    live = house.live(projection)
    followed(live, 1)
    build = live.versions.begin(house.log.head(), 2)
    projected = live.projected(build.version)
    builder: PartitionBuilder[Any] = PartitionBuilder(projected, build, 0)
    for _ in range(killed_after):
        builder.step()
    assert projected.view.loaded() == {0: killed_after}
    resumed: PartitionBuilder[Any] = PartitionBuilder(projected, build, 0)
    assert resumed.position == killed_after
    # the one before has not noticed yet that it was given up
    while not builder.done:
        builder.step()
    found = rebuilt(live, house.log.head)
    assert (found.state, found.version, found.live) == ("switched", build.version, [])
    assert rows(live, 2) == rows(live, 1)


@BOTH
def test_what_an_interruption_left_half_written_does_no_harm(
    house: House, projection: Projection[Any]
) -> None:
    live = house.live(projection)
    followed(live, 1)
    build = live.versions.begin(house.log.head(), 1)
    view = live.versions.view(build.version)
    some = [(row.ticket_id if projection is AUDIT else row.id, row) for _, row in rows(live, 1)]
    half = some[: len(some) // 2]
    for ticket_id, row in half:  # rows, but not how far the partition has come
        view.load(0, 0, [(ticket_id, row)], [])
    found = rebuilt(live, house.log.head)
    assert (found.state, found.live) == ("switched", [])
    assert rows(live, 2) == rows(live, 1)


def test_a_late_writer_of_an_older_state_lets_no_ticket_go_back(house: House) -> None:
    live = house.live(TICKETS)
    build = live.versions.begin(house.log.head(), 1)
    view = live.versions.view(build.version)
    older, newer = _states(house, id_(4))
    view.load(0, 1, [(id_(4), newer)], [])
    view.load(0, 1, [(id_(4), older)], [])
    assert dict(view.rows()) == {id_(4): newer}


def _states(house: House, ticket_id: str) -> list[Any]:
    row, states = None, []
    for recorded in house.log.histories([ticket_id])[ticket_id]:
        row = TICKETS.project(row, recorded)
        states.append(row)
    return states[:2]


@BOTH
def test_a_ticket_that_can_not_be_projected_is_parked_in_the_new_version(
    house: House, projection: Projection[Any]
) -> None:
    def project(row: Any, recorded: Recorded) -> Any:
        if recorded.ticket_id == id_(6) and recorded.version == 2:
            raise ZeroDivisionError("poisoned")
        return projection.project(row, recorded)

    faulty = house.live(Projection(projection.name, project, projection.every))
    followed(faulty, 1)
    found = rebuilt(faulty, house.log.head)
    assert found.state == "switched"
    old, new = faulty.versions.view(1).parked(), faulty.versions.view(2).parked()
    assert old == new
    assert [parked.ticket_id for parked in new.values()] == [id_(6)]
    assert rows(faulty, 2) == rows(faulty, 1)


@BOTH
def test_a_new_version_that_parks_what_the_live_one_shows_is_refused_until_that_is_settled(
    house: House, projection: Projection[Any]
) -> None:
    live, head = house.live(projection), house.log.head
    followed(live, 1)
    older = house.live(poisoned(projection, id_(6), 2))
    at = house.log.histories([id_(6)])[id_(6)][1].position
    for wanted in (Wanted(), Wanted(dry_run=True)):
        found = rebuilt(older, head, wanted=wanted)
        assert (found.state, found.version, found.live) == ("refused", 2, [])
        assert [(one.ticket_id, one.position) for one in found.parked] == [(id_(6), at)]
        assert (live.versions.registry().live, parked_in(older)) == (1, [])
    with pytest.raises(TicketNotParked, match=r"rebuild .+ tries it again"):
        retry_everywhere(older, id_(6), "operator")

    mended = rebuilt(live, head, wanted=Wanted(dry_run=True))
    assert (mended.state, mended.version, mended.parked) == ("compared", 2, [])
    assert (rows(live, 2), live.versions.view(2).parked()) == (rows(live, 1), {})

    cancel(live, lambda _: None)
    accepted = rebuilt(older, head, wanted=Wanted(accept_parked=True))
    assert (accepted.state, [one.ticket_id for one in accepted.parked]) == ("switched", [id_(6)])
    assert parked_in(older) == list(accepted.parked)
    assert rebuilt(older, head).state == "switched", "the live one parks it by now"


def test_a_ticket_parked_in_what_is_being_built_is_skipped_and_the_rebuild_goes_on(
    house: House,
) -> None:
    house.writer.execute(rename("Later", id_(6)))
    followed(house.live(TICKETS), 1, fence=0)
    older = house.live(poisoned(TICKETS, id_(6), 2))
    build = older.versions.begin(house.log.head(), 1)
    builder: PartitionBuilder[Any] = PartitionBuilder(older.projected(build.version), build, 0)
    builder.step(6)
    builder.flush()
    (parked,) = parked_anywhere(older)
    assert (parked.ticket_id, builder.done) == (id_(6), False)
    assert [one.position for one in skip(older, id_(6), "cli:ada", "", "op", lambda: START)] == [
        parked.position
    ]

    found = rebuilt(older, house.log.head, partitions=1)

    assert (found.state, found.parked) == ("switched", [])
    assert older.versions.view(2).latest([id_(6)])[id_(6)].name == "Later"


def test_a_new_version_that_is_not_what_the_log_says_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = house.live(TICKETS)
    followed(live, 1)
    load = type(live.live_version.view).load

    def forgetful(self: Any, partition: int, upto: int, rows: Any, parked: Any) -> None:
        load(self, partition, upto, rows[1:], parked)

    monkeypatch.setattr(type(live.live_version.view), "load", forgetful)
    found = rebuilt(live, house.log.head, partitions=1)
    assert found.state == "refused"
    assert found.new
    assert [one.kind for one in found.new.mismatches] == ["missing"]
    assert live.versions.registry().live == 1


def test_cancelling_stops_the_builders_and_deletes_what_they_built(house: House) -> None:
    live = house.live(TICKETS)
    build = live.versions.begin(house.log.head(), 2)
    assert cancel(live, lambda _: None) == build.version
    build_partition(live.projected(build.version), live.versions, build, 0)
    assert live.versions.view(build.version).loaded() == {}
    assert live.versions.registry().building is None
    assert cancel(live, lambda _: None) is None
    assert "else cancelled version 2" in str(too_late(live, build))
    assert live.versions.begin(5, 1).version == build.version + 1
    followed(live, 1)
    later = live.versions.begin(5, 1)
    assert rebuilt(live, house.log.head).state == "switched"
    assert cancel(live, lambda _: None) is None
    assert "Version 3 of tickets was switched to" in str(too_late(live, later))


def test_a_builder_pauses_until_it_is_told_to_go_on(house: House) -> None:
    live = house.live(TICKETS)
    build = live.versions.begin(house.log.head(), 1)
    live.versions.control(paused=True)
    asked = Event()

    def at(position: int) -> None:
        asked.set()

    projected = live.projected(build.version)
    builder = Thread(target=build_partition, args=(projected, live.versions, build, 0, at))
    builder.start()
    assert asked.wait(10)
    assert live.versions.view(build.version).loaded() == {}
    live.versions.control(paused=False)
    builder.join(timeout=10)
    assert live.versions.view(build.version).loaded() == {0: build.target}


def test_a_throttled_builder_heeds_what_is_asked_and_who_is_gone_before_it_takes_the_next_step(
    house: House,
) -> None:
    live = house.live(TICKETS)
    build = live.versions.begin(house.log.head(), 1)
    live.versions.control(rate=1)
    projected, positions, lifted = live.projected(build.version), list[int](), Event()

    def at(position: int) -> None:
        positions.append(position)
        if position and positions.count(position) == 2 and not lifted.is_set():  # it waits
            live.versions.control(rate=0)
            lifted.set()

    build_partition(projected, live.versions, build, 0, at)
    assert lifted.is_set()
    assert max(positions) < build.target - 1
    assert live.versions.view(build.version).loaded() == {0: build.target}

    live.versions.forget(build.version)
    build = live.versions.begin(house.log.head(), 1)
    live.versions.control(rate=1)
    passed: list[int] = []

    def gone(position: int) -> None:
        passed.append(position)
        if position and passed.count(position) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_partition(live.projected(build.version), live.versions, build, 0, gone)
    assert max(passed) < build.target


def test_a_rate_is_kept_and_lifted(house: House) -> None:
    live = house.live(TICKETS)
    assert live.versions.control(rate=5) is None
    live.versions.begin(house.log.head(), 1)
    assert (asked := live.versions.control(rate=5)) and asked.rate == 5
    assert (asked := live.versions.control(rate=0)) and asked.rate is None


def test_old_versions_are_dropped_once_nobody_reads_them(house: House) -> None:
    live, elsewhere = house.live(AUDIT), house.live(AUDIT)
    followed(live, 1)
    rebuilt(live, house.log.head)
    rebuilt(live, house.log.head)
    assert live.versions.registry().kept == (2, 1)
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        assert rows(live, 1)  # still there for those who have not looked
        elsewhere.look()
        assert elsewhere.live_version.view.name == "audit@3"

    assert drop_old(live, wait) == [2, 1]
    assert waited
    assert (gone(live, 1), gone(live, 2)) == (True, True)
    assert len(rows(live, 3)) == house.log.head()
    with pytest.raises(VersionUnknown):
        roll_back(live, "operator")


def test_what_somebody_was_killed_at_deleting_is_deleted_with_the_next(house: House) -> None:
    live = house.live(TICKETS)
    followed(live, 1)
    rebuilt(live, house.log.head)
    live.versions.forget(1)
    live.versions.begin(house.log.head(), 1)
    assert rows(live, 1)
    assert live.versions.leftovers() == droppable(live) == [1]
    assert drop_old(live, lambda _: None) == [1]
    assert (gone(live, 1), live.versions.leftovers()) == (True, [])
    assert drop_old(live, lambda _: None) == []


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("at", ["catching up", "comparing"])
def test_a_rebuild_that_is_cancelled_late_says_so(house: House, at: str, dry_run: bool) -> None:
    live = house.live(TICKETS)
    followed(live, 1)

    def tell(step: Step) -> None:
        if step.phase == at:
            cancel(live, lambda _: None)

    found = rebuilt(live, house.log.head, tell=tell, wanted=Wanted(dry_run=dry_run))
    assert found.state == "cancelled"
    assert (gone(live, 2), live.versions.registry().versions) == (True, (1,))


@pytest.mark.parametrize("at", ["catching up", "comparing"])
def test_a_pause_is_heeded_until_the_switch(house: House, at: str) -> None:
    live = house.live(TICKETS)
    followed(live, 1)
    paused = Event()

    def tell(step: Step) -> None:
        if step.phase == at and not paused.is_set():
            live.versions.control(paused=True)
        if step.phase == "paused":
            paused.set()

    rebuilding = Thread(target=rebuilt, args=(live, house.log.head), kwargs={"tell": tell})
    rebuilding.start()
    assert paused.wait(10)
    rebuilding.join(0.5)
    assert (rebuilding.is_alive(), live.versions.registry().live) == (True, 1)
    live.versions.control(paused=False)
    rebuilding.join(10)
    assert live.versions.registry().live == 2


def test_a_rate_is_kept_while_catching_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [0.0]

    def wait(seconds: float) -> None:
        passed[0] += seconds

    monkeypatch.setattr(rebuild_module, "monotonic", lambda: passed[0])
    monkeypatch.setattr(rebuild_module, "sleep", wait)
    live = house.live(TICKETS)
    followed(live, 1)
    assert rebuilt(live, house.log.head, wanted=Wanted(dry_run=True)).state == "compared"
    for number in range(40):
        house.writer.execute(rename(f"Name {number}", id_(4)))
    followed(live, 1, fence=2_000)
    assert rebuilt(live, house.log.head, wanted=Wanted(rate=20)).state == "switched"
    assert passed[0] == pytest.approx(40 / 20)


def test_going_back_needs_no_service(house: House) -> None:
    live = house.live(TICKETS)
    followed(live, 1, fence=0)
    rebuilt(live, house.log.head)
    house.writer.execute(rename("Later", id_(6)))
    followed(live, 2, fence=2_000)
    assert roll_back(live, "operator") == 1
    assert rows(live, 1) == rows(live, 2)


def test_what_was_switched_to_meanwhile_is_not_forgotten(house: House) -> None:
    live = house.live(TICKETS)
    followed(live, 1)
    rebuilt(live, house.log.head, wanted=Wanted(dry_run=True))
    live.versions.switch(2)
    with pytest.raises(VersionUnknown):
        live.versions.forget(2)
    assert live.versions.registry().versions == (2, 1)


def test_a_rebuild_can_be_stopped_while_it_compares_and_is_gone_on_with(house: House) -> None:
    live = house.live(TICKETS)
    followed(live, 1)
    phases: list[str] = []

    def stop() -> None:
        if phases[-1:] == ["comparing"]:
            raise KeyboardInterrupt

    def tell(step: Step) -> None:
        phases.append(step.phase)

    context = RebuildContext(
        projection=live,
        head=house.log.head,
        holder="operator",
        workers=Here(live),
        partitions=2,
        tell=tell,
        stop=stop,
    )
    with pytest.raises(KeyboardInterrupt):
        rebuild(context)
    assert live.versions.registry().live == 1
    found = rebuilt(live, house.log.head)
    assert (found.state, found.version) == ("switched", 2)


def test_the_live_version_can_be_neither_forgotten_nor_dropped(house: House) -> None:
    live = house.live(TICKETS)
    followed(live, 1)
    with pytest.raises(VersionUnknown):
        live.versions.forget(1)
    live.versions.drop(1)
    assert rows(live, 1)


def test_of_two_who_begin_both_get_the_same_version(house: House) -> None:
    versions = house.live(TICKETS).versions
    assert versions.begin(5, 2) == versions.begin(9, 3)


def test_a_builder_that_fails_says_why(house: House) -> None:
    live = house.live(TICKETS)
    followed(live, 1)

    class Failed:
        def reached(self) -> int:
            raise StoreUnavailable("a builder ended early")

    class Failing(Here):
        @contextmanager
        def build(self, projection: str, build: Any) -> Iterator[Any]:
            yield Failed()

    context = RebuildContext(
        projection=live,
        head=house.log.head,
        holder="operator",
        workers=Failing(live),
        partitions=1,
    )
    with pytest.raises(StoreUnavailable, match="ended early"):
        rebuild(context)
    assert rebuilt(live, house.log.head).state == "switched"


def test_who_renews_too_late_goes_on_unless_somebody_else_came_in_between(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a busy machine, where a rebuild gave up for a taker that there was not."""
    monkeypatch.setattr(operations, "LEASE_SECONDS", 0.05)
    monkeypatch.setattr(operations, "HEARTBEAT", 0.2)
    projected = house.live(TICKETS).projected(1)
    leases, name = projected.leases, projected.view.name

    def fence() -> int:
        lease = leases.current(name)
        assert lease
        return lease.fence

    with operations.leading(projected, "operator") as (applier, check):
        first = fence()
        until(lambda: fence() > first + 1)  # the lease runs out again and again
        check()
        assert applier.step() == house.log.head()
        until(lambda: leases.acquire(name, "other", 30) is not None)
        with pytest.raises(Fenced, match="Somebody else took over"):
            until(lambda: check() is not None, 60)
