"""Keeping views current, and what operators do to them, on each real store."""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import bson
import pytest
from pymongo import MongoClient

from domain.errors import Fenced, StoreUnavailable, TicketNotParked
from domain.log.ports import EventLog
from domain.ticket.events import Recorded
from domain.ticket.state import Ticket, fold
from infrastructure.configuration.addresses import SQLiteStore, parse_store
from infrastructure.log.codec import encode
from infrastructure.log.ticket_log import TicketLog
from infrastructure.log.writer import Writer
from projections.audit.projection import AUDIT, AuditEntry, entry_of
from projections.running import runner as runner_module
from projections.running.applier import Applier
from projections.running.progress import Progress
from projections.running.projection import Parked, Projected, Projection, ViewChange
from projections.running.runner import HEARTBEAT, LEASE_SECONDS, Runner
from projections.running.runners import Runners
from projections.tickets.projection import TICKETS
from projections.versions.followed import LiveProjection
from projections.versions.repair import repair, retry
from projections.versions.status import version_status
from projections.versions.verification import ViewMismatch, verify
from tests.support.rebuilds import catch_up, rebuilt
from tests.support.stories import (
    GLOBEX,
    START,
    catalogue,
    change,
    create,
    id_,
    imported,
    minute,
    quarantine,
    rename,
    renamed,
    restore,
    retire,
    take_over,
)
from tests.support.view_rows import Opened, open_store

SOON = 30.0
"""Longer than anything here should take."""


@dataclass(frozen=True)
class House:
    """One store with a writer on it and a projection of each kind."""

    url: str
    stores: Opened
    log: TicketLog
    writer: Writer
    head: Progress

    @property
    def tickets(self) -> Projected[Ticket]:
        return self.projected(TICKETS)

    @property
    def audit(self) -> Projected[AuditEntry]:
        return self.projected(AUDIT)

    def projected(self, projection: Projection[Any]) -> Projected[Any]:
        view: Any = self.stores.tickets if projection.name == "tickets" else self.stores.audit
        leases = self.stores.leases
        return Projected(projection, view, self.log, leases, lambda: START, dict)

    def live(self, projection: Projection[Any]) -> LiveProjection[Any]:
        """As a process sees it that runs nothing."""
        stores = self.stores.stores
        versions: Any = stores.tickets if projection.name == "tickets" else stores.audit
        return LiveProjection(
            projection, versions, self.log, stores.leases, lambda: START, str, runners=None
        )

    def past(self, upto: int | None = None) -> list[Recorded]:
        found = [
            recorded for n in range(0, self.log.head(), 100) for recorded in self.log.read(n, 100)
        ]
        return found[:upto]

    def fill(self) -> None:
        """A past with every kind of event in it: twelve events of five tickets."""
        self.writer.execute(create(id_(1)))
        self.writer.execute(create(id_(2), org_id=GLOBEX), rename("Second", id_(2), within=None))
        self.writer.execute(take_over(imported(), id_(3)))
        self.writer.execute(quarantine("no hex at all"))
        self.writer.execute(change("delete_area", ticket_id=id_(1)), retire(id_(1)))
        self.writer.execute(rename("Third", id_(3), at=200))
        self.writer.execute(restore(id_(1)), quarantine(id_(1)))
        self.writer.execute(create(id_(4)), retire(id_(4)))


@pytest.fixture
def house(store_url: str) -> Iterator[House]:
    with open_store(store_url) as stores:
        log, head = TicketLog(stores.log), Progress()
        writer = Writer(
            log, catalogue, lambda: START, lambda events: head.advance(events[-1].position)
        )
        with closing(writer):
            yield House(store_url, stores, log, writer, head)


def tickets_at(past: Sequence[Recorded]) -> dict[str, Ticket]:
    """What the view of the tickets should hold."""
    folded = {
        ticket_id: fold(recorded for recorded in past if recorded.ticket_id == ticket_id)
        for ticket_id in {recorded.ticket_id for recorded in past}
    }
    return {ticket_id: ticket for ticket_id, ticket in folded.items() if ticket}


def entries_at(past: Sequence[Recorded]) -> list[AuditEntry]:
    """What the audit log should hold."""
    last: dict[str, AuditEntry] = {}
    entries: list[AuditEntry] = []
    for recorded in past:
        entry = entry_of(last.get(recorded.ticket_id), recorded)
        last[recorded.ticket_id] = entry
        entries.append(entry)
    return entries


def shown(house: House) -> dict[str, Ticket]:
    return {key: row for key, row in house.live(TICKETS).live_version.view.rows() if row}


def listed(house: House) -> list[AuditEntry]:
    return [row for _, row in house.live(AUDIT).live_version.view.rows() if row]


def raw_audit(house: House) -> list[bytes]:
    """The audit rows of the live version as the store keeps them, byte for byte."""
    name = f"audit_{house.live(AUDIT).versions.registry().live}"
    store = parse_store("TICKETBOOK_STORE", house.url)
    if isinstance(store, SQLiteStore):
        with closing(sqlite3.connect(store.path)) as connection:
            rows = connection.execute(f"SELECT * FROM {name} ORDER BY position").fetchall()
            return [repr(row).encode() for row in rows]
    with MongoClient[dict[str, Any]](store.uri) as client:
        found = client[store.database][name].find().sort("_id", 1)
        return [bson.encode(document) for document in found]


def tamper(house: House, sql: str, collection: str, update: dict[str, Any] | None) -> None:
    """Change the store behind the program's back: in MongoDB update one document, or delete it
    (`update` None), of the first ticket."""
    store = parse_store("TICKETBOOK_STORE", house.url)
    if isinstance(store, SQLiteStore):
        with closing(sqlite3.connect(store.path)) as connection, connection:
            assert connection.execute(sql).rowcount == 1
        return
    first: dict[str, Any] = {"_id": 1 if collection == "audit_1" else bson.ObjectId(id_(1))}
    with MongoClient[dict[str, Any]](store.uri) as client:
        where = client[store.database][collection]
        if update is None:
            assert where.delete_one(first).deleted_count == 1
        else:
            assert where.update_one(first, update).modified_count == 1


def lead(projected: Projected[Any], holder: str = "somebody") -> Applier[Any]:
    return Applier(projected, projected.leases.seize(projected.view.name, holder, SOON))


class Poison:
    """A projection of the tickets that cannot be computed for some tickets, until it is fixed."""

    def __init__(self, *ticket_ids: str, once_renamed: bool = False) -> None:
        self.ticket_ids = set(ticket_ids)
        self.once_renamed = once_renamed

    def of(self, projection: Projection[Any]) -> Projection[Any]:
        def project(row: Any, recorded: Recorded) -> Any:
            harmless = self.once_renamed and recorded.event.TOPIC != "ticket.renamed"
            if recorded.ticket_id in self.ticket_ids and not harmless:
                raise ZeroDivisionError(f"poisoned at {recorded.position}")
            return projection.project(row, recorded)

        return Projection(projection.name, project, projection.every)


FORGER = 10**6
"""A fence above every runner's."""

BOTH = pytest.mark.parametrize("projection", [TICKETS, AUDIT], ids=lambda p: p.name)


# Applying


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_rows_and_checkpoint_agree_after_every_step(house: House, limit: int) -> None:
    house.fill()
    tickets, audit = lead(house.tickets), lead(house.audit)
    while tickets.step(limit):
        assert house.stores.tickets.checkpoint() == tickets.position
        assert shown(house) == tickets_at(house.past(tickets.position))
    while audit.step(limit):
        assert house.stores.audit.checkpoint() == audit.position
        assert listed(house) == entries_at(house.past(audit.position))
    assert tickets.position == audit.position == house.log.head() == 12


@pytest.mark.parametrize("limit", [1, 3])
def test_who_takes_over_goes_on_where_the_one_before_stopped(house: House, limit: int) -> None:
    house.fill()
    while lead(house.tickets).step(limit) and lead(house.audit).step(limit):
        pass
    assert shown(house) == tickets_at(house.past())
    assert listed(house) == entries_at(house.past())


def test_an_event_without_a_row_moves_the_checkpoint(house: House) -> None:
    house.writer.execute(quarantine())
    applier = lead(house.tickets)
    assert applier.step() == 1
    assert (house.stores.tickets.checkpoint(), shown(house)) == (1, {})
    assert applier.step() == 0


@BOTH
def test_whoever_is_fenced_writes_nothing(house: House, projection: Projection[Any]) -> None:
    house.fill()
    projected = house.projected(projection)
    former = lead(projected)
    former.step(2)
    latter = lead(projected)
    before = sorted(projected.view.rows(), key=repr)

    with pytest.raises(Fenced):
        former.step()
    assert projected.view.checkpoint() == 2
    assert sorted(projected.view.rows(), key=repr) == before
    catch_up(latter)
    assert verify(projected).mismatches == []


# Poison


@BOTH
def test_one_poisoned_ticket_parks_alone_while_the_others_flow(
    house: House, projection: Projection[Any]
) -> None:
    house.fill()
    faulty = house.projected(Poison(id_(1)).of(projection))
    applier = lead(faulty)
    catch_up(applier)

    assert faulty.view.checkpoint() == 12
    expected = Parked(id_(1), 1, "ZeroDivisionError: poisoned at 1", START)
    assert faulty.view.parked() == {id_(1): expected}
    others = [recorded for recorded in house.past() if recorded.ticket_id != id_(1)]
    if projection is TICKETS:
        assert shown(house) == tickets_at(others)
    else:
        assert listed(house) == entries_at(others)


@BOTH
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_a_ticket_keeps_what_it_had_before_its_poisoned_event(
    house: House, projection: Projection[Any], limit: int
) -> None:
    house.fill()
    faulty = house.projected(Poison(id_(3), once_renamed=True).of(projection))
    applier = lead(faulty)
    while applier.step(limit):
        pass
    assert faulty.view.parked()[id_(3)].position == 8
    before = [r for r in house.past() if r.ticket_id == id_(3) and r.position < 8]
    row = faulty.view.latest([id_(3)])[id_(3)]
    assert row == (tickets_at(before)[id_(3)] if projection is TICKETS else entries_at(before)[0])


def test_a_parked_ticket_stays_parked_where_it_was_for_later_events_and_runners(
    house: House,
) -> None:
    house.writer.execute(create(id_(1)))
    faulty = house.projected(Poison(id_(1)).of(TICKETS))
    catch_up(lead(faulty))
    house.writer.execute(rename("Chief", id_(1)))
    house.writer.execute(create(id_(2)))
    catch_up(lead(house.tickets))  # this one could, but order comes first

    assert house.stores.tickets.parked()[id_(1)].position == 1
    assert list(shown(house)) == [id_(2)]


@BOTH
def test_a_retry_after_the_fix_brings_the_view_to_what_a_rebuild_gives(
    house: House, projection: Projection[Any]
) -> None:
    house.fill()
    poison = Poison(id_(1), id_(3), once_renamed=True)
    poison.ticket_ids.add(id_(2))
    faulty = house.projected(poison.of(projection))
    catch_up(lead(faulty))
    assert sorted(faulty.view.parked()) == [id_(2), id_(3)]

    poison.ticket_ids.clear()
    assert retry(faulty, id_(3), "operator") is None
    assert list(faulty.view.parked()) == [id_(2)]
    assert retry(faulty, id_(2), "operator") is None
    retried = sorted(faulty.view.rows(), key=repr)

    assert verify(faulty).mismatches == []
    live = house.live(projection)
    assert rebuilt(live, house.log.head).state == "switched"
    assert sorted(live.live_version.view.rows(), key=repr) == retried


@BOTH
def test_a_retry_without_a_fix_parks_the_ticket_where_it_fails_now(
    house: House, projection: Projection[Any]
) -> None:
    house.fill()
    poison = Poison(id_(2))
    faulty = house.projected(poison.of(projection))
    catch_up(lead(faulty))
    still = retry(faulty, id_(2), "operator")
    assert still
    assert still.position == 2

    poison.once_renamed = True
    later = retry(faulty, id_(2), "operator")
    assert later == Parked(id_(2), 3, "ZeroDivisionError: poisoned at 3", START)
    assert later == faulty.view.parked()[id_(2)]
    assert faulty.view.latest([id_(2)])[id_(2)].version == 1


@BOTH
def test_a_retry_goes_no_further_than_the_view_has_come(
    house: House, projection: Projection[Any]
) -> None:
    house.fill()
    poison = Poison(id_(3), once_renamed=True)
    faulty = house.projected(poison.of(projection))
    catch_up(lead(faulty))
    house.writer.execute(change("delete_area", ticket_id=id_(3)))
    house.writer.execute(retire(id_(3)))
    poison.ticket_ids.clear()
    assert retry(faulty, id_(3), "operator") is None
    assert faulty.view.latest([id_(3)])[id_(3)].version == 2
    catch_up(lead(faulty))
    assert verify(faulty).mismatches == []


def test_a_ticket_flows_again_once_a_retry_succeeds_and_not_before(house: House) -> None:
    house.fill()
    poison = Poison(id_(3), once_renamed=True)
    applier = lead(house.projected(poison.of(TICKETS)))
    catch_up(applier)
    for version, fixed in ((3, False), (4, True), (5, True)):
        if fixed:
            poison.ticket_ids.clear()
        if id_(3) in house.stores.tickets.parked():
            applier.retry(id_(3))
        house.writer.execute(rename(f"Name {version}", id_(3)))
        catch_up(applier)
        assert house.stores.tickets.latest([id_(3)])[id_(3)].version == (version if fixed else 1)
        parked = house.stores.tickets.parked().get(id_(3))
        assert (parked and parked.position) == (None if fixed else 8)


def test_an_entry_needs_the_ticket_that_its_event_is_about(house: House) -> None:
    orphan = encode(Recorded(1, id_(9), 1, START, renamed("Nobody")))
    house.stores.log.commit(0, [orphan])
    catch_up(lead(house.audit))
    parked = house.stores.audit.parked()[id_(9)]
    assert parked.error == "ValueError: ticket.renamed at position 1 has no ticket"


def test_there_is_nothing_to_retry_of_a_ticket_that_is_not_parked(house: House) -> None:
    house.fill()
    with pytest.raises(TicketNotParked, match=id_(1)):
        retry(house.tickets, id_(1), "operator")


def test_an_operator_s_retry_leaves_the_lease_free(house: House) -> None:
    house.fill()
    faulty = house.projected(Poison(id_(1)).of(TICKETS))
    catch_up(lead(faulty))
    assert retry(faulty, id_(1), "operator")
    lease = house.stores.leases.current("tickets@1")
    assert lease
    assert (lease.holder, lease.expired) == ("operator", True)


@pytest.mark.parametrize("limit", [1, 100])
def test_a_row_that_the_store_refuses_parks_its_ticket_alone(house: House, limit: int) -> None:
    house.writer.execute(create(id_(1)))
    house.writer.execute(take_over(imported(revision=2**70), id_(2)))
    house.writer.execute(rename("Chief", id_(1)), rename("Big", id_(2), at=200))
    house.writer.execute(create(id_(3)))
    applier = lead(house.tickets)
    while applier.step(limit):
        pass
    (parked,) = house.stores.tickets.parked().values()
    assert (parked.ticket_id, parked.position) == (id_(2), 2)
    assert parked.error.startswith("OverflowError: ")
    assert shown(house) == tickets_at([r for r in house.past() if r.ticket_id != id_(2)])


@BOTH
@pytest.mark.parametrize("limit", [1, 100])
def test_an_event_that_can_not_be_read_parks_its_ticket_alone(
    house: House, projection: Projection[Any], limit: int
) -> None:
    house.fill()
    for n, (ticket_id, version) in enumerate([(id_(2), 3), (id_(3), 3), (id_(2), 4)]):
        whole = encode(Recorded(13 + n, ticket_id, version, START, renamed("Chief")))
        house.stores.log.commit(12 + n, [replace(whole, state=b"damaged") if n != 1 else whole])
    house.writer.execute(rename("Last", id_(1)))
    projected = house.projected(projection)
    applier = lead(projected)
    while applier.step(limit):
        assert version_status(projected, 1, "live").position == applier.position

    assert projected.view.checkpoint() == 16
    (parked,) = projected.view.parked().values()
    assert (parked.ticket_id, parked.position) == (id_(2), 13)
    assert parked.error.startswith("EventUnreadable: The event at position 13 ")
    assert projected.view.latest([id_(1)])[id_(1)].version == 6
    assert projected.view.latest([id_(2)])[id_(2)].version == 2
    found = verify(projected)
    assert (found.mismatches, found.parked) == ([], [id_(2)])
    again = retry(projected, id_(2), "operator")
    assert again and (again.position, again.error) == (13, parked.error)


def test_a_row_damaged_by_something_else_parks_its_ticket_alone(house: House) -> None:
    house.writer.execute(create(id_(1)), create(id_(2)))
    catch_up(lead(house.tickets))
    tamper(
        house,
        f"UPDATE tickets_1 SET features = 'damaged' WHERE id = '{id_(1)}'",
        "tickets_1",
        {"$unset": {"orgId": ""}},
    )
    house.writer.execute(rename("First", id_(1)), rename("Second", id_(2)))
    house.writer.execute(rename("Again", id_(1)), create(id_(3)))
    catch_up(lead(house.tickets))

    assert house.stores.tickets.checkpoint() == 6
    assert house.stores.tickets.parked()[id_(1)].position == 3
    second = house.stores.tickets.get(id_(2))
    assert second
    assert second.name == "Second"
    assert house.stores.tickets.get(id_(3))

    assert rebuilt(house.live(TICKETS), house.log.head).state == "switched"
    assert shown(house) == tickets_at(house.past())


# Verifying


@BOTH
def test_nothing_is_found_on_a_healthy_view(house: House, projection: Projection[Any]) -> None:
    house.fill()
    projected = house.projected(projection)
    assert verify(projected).mismatches == []
    applier = lead(projected)
    while applier.step(5):
        found = verify(projected)
        assert (found.position, found.mismatches, found.parked) == (applier.position, [], [])
    assert verify(projected).rows == (4 if projection is TICKETS else 12)


@BOTH
def test_a_row_that_is_missing_is_found(house: House, projection: Projection[Any]) -> None:
    house.fill()
    projected = house.projected(projection)
    catch_up(lead(projected))
    if projection is TICKETS:
        tamper(house, f"DELETE FROM tickets_1 WHERE id = '{id_(1)}'", "tickets_1", None)
    else:
        tamper(house, "DELETE FROM audit_1 WHERE position = 1", "audit_1", None)
    (found,) = verify(projected).mismatches
    key = id_(1) if projection is TICKETS else 1
    assert found == ViewMismatch("missing", key, id_(1))


@pytest.mark.parametrize(
    ("projection", "wrong"),
    [
        (TICKETS, {"name": "Eve"}),
        (TICKETS, {"features": ("get_all",)}),
        (TICKETS, {"revision": 99}),
        (TICKETS, {"retired": True}),
        (AUDIT, {"actor": "eve"}),
        (AUDIT, {"after": None}),
        (AUDIT, {"occurred_at": minute(1)}),
    ],
)
def test_a_row_that_says_something_else_is_found(
    house: House, projection: Projection[Any], wrong: dict[str, Any]
) -> None:
    house.fill()
    projected = house.projected(projection)
    catch_up(lead(projected))
    row = projected.view.latest([id_(1)])[id_(1)]
    position = projected.view.checkpoint()
    forged = ViewChange(position, position, [(id_(1), replace(row, **wrong))])
    projected.view.apply(forged, FORGER)
    (found,) = verify(projected).mismatches
    key = id_(1) if projection is TICKETS else row.position
    assert found == ViewMismatch("changed", key, id_(1))


@BOTH
def test_a_row_that_no_event_made_is_found(house: House, projection: Projection[Any]) -> None:
    house.fill()
    projected = house.projected(projection)
    catch_up(lead(projected))
    row = projected.view.latest([id_(1)])[id_(1)]
    if projection is TICKETS:
        extra, expected = replace(row, id=id_(77)), ViewMismatch("extra", id_(77), id_(77))
    else:
        extra = replace(row, ticket_id=id_(77), position=77)
        expected = ViewMismatch("extra", 77, None)
    position = projected.view.checkpoint()
    projected.view.apply(ViewChange(position, position, [(id_(77), extra)]), FORGER)
    (found,) = verify(projected).mismatches
    assert found == expected


@BOTH
def test_a_view_ahead_of_its_log_is_found_out_by_its_rows(
    house: House, projection: Projection[Any]
) -> None:
    house.fill()
    projected = house.projected(projection)
    catch_up(lead(projected))
    row = projected.view.latest([id_(4)])[id_(4)]
    lost = replace(row, version=3, position=13)  # of an event that the log does not hold any more
    projected.view.apply(ViewChange(12, 17, [(id_(4), lost)]), FORGER)
    (found,) = verify(projected).mismatches
    assert found.kind == ("changed" if projection is TICKETS else "extra")


@BOTH
def test_parked_tickets_are_named_and_not_compared(
    house: House, projection: Projection[Any]
) -> None:
    house.fill()
    poison = Poison(id_(1), id_(3))
    catch_up(lead(house.projected(poison.of(projection))))
    found = verify(house.projected(projection))
    assert (found.parked, found.mismatches) == ([id_(1), id_(3)], [])


def test_a_projection_that_no_longer_computes_shows_in_what_is_found(house: House) -> None:
    house.fill()
    catch_up(lead(house.audit))
    broken = house.projected(Poison(id_(3), once_renamed=True).of(AUDIT))
    (found,) = verify(broken).mismatches
    assert (found.kind, found.ticket_id) == ("unreadable", id_(3))


@BOTH
def test_nothing_is_found_on_a_view_that_moves_meanwhile(
    house: House, projection: Projection[Any]
) -> None:
    house.fill()
    projected = house.projected(projection)
    applier, stop = lead(projected), Event()
    failures: list[BaseException] = []

    def move() -> None:
        try:
            n = 0
            while not stop.is_set():
                n += 1
                house.writer.execute(rename(f"Name {n}", id_(1)), create(id_(100 + n)))
                applier.step()
        except BaseException as error:
            failures.append(error)

    mover = Thread(target=move)
    mover.start()
    found = [verify(projected)]
    while found[-1].position < found[0].position + 100 and not failures:
        found.append(verify(projected))
    stop.set()
    mover.join()
    assert failures == []
    assert [one.mismatches for one in found] == [[]] * len(found)


# Running


def runner(house: House, holder: str, projection: Projection[Any] = TICKETS) -> Runner[Any]:
    """In a process of its own, so to say."""
    runners = Runners(house.head, house.stores.stores.take_steps)
    return Runner(house.projected(projection), runners, Progress(), holder)


def reached(running: Runner[Any], position: int) -> bool:
    return running.progress.wait(position, SOON)


def test_a_runner_keeps_its_view_current_and_gives_its_lease_up_when_stopped(
    house: House,
) -> None:
    house.fill()
    running = runner(house, "one")
    running.start()
    assert reached(running, 12)
    outcome = house.writer.execute(rename("Chief", id_(1)))
    assert reached(running, outcome.position)
    assert shown(house)[id_(1)] == outcome.ticket
    assert running.leading
    running.stop()
    assert not running.leading
    assert version_status(house.tickets, 1, "live").state == "down"


def test_of_two_runners_one_leads_and_the_other_takes_over_when_it_stops(house: House) -> None:
    house.fill()
    one, other = runner(house, "one"), runner(house, "other")
    one.start()
    assert reached(one, 12)
    other.start()
    for n in range(20):
        position = house.writer.execute(create(id_(100 + n))).position
        assert reached(one, position)
        assert (one.leading, other.leading) == (True, False)
    one.stop()
    assert reached(other, 32)
    lease = house.stores.leases.current("tickets@1")
    assert lease
    assert (lease.holder, lease.expired) == ("other", False)
    other.stop()
    assert verify(house.tickets).mismatches == []


def test_a_runner_takes_over_from_one_that_died_once_its_lease_is_out_and_not_before(
    house: House,
) -> None:
    house.fill()
    began = monotonic()
    fence = house.stores.leases.acquire("tickets@1", "the dead", 0.5)
    assert fence
    dead = Applier(house.tickets, fence)
    dead.step(4)
    successor = runner(house, "successor")
    successor.start()
    assert reached(successor, 12)
    assert monotonic() - began > 0.4
    with pytest.raises(Fenced):
        dead.step()
    successor.stop()
    assert shown(house) == tickets_at(house.past())


def test_a_runner_stands_aside_for_an_operator_and_comes_back(house: House) -> None:
    house.fill()
    running = runner(house, "one", AUDIT)
    running.start()
    assert reached(running, 12)
    first = raw_audit(house)
    for _ in range(3):
        assert repair(house.audit, [ViewMismatch("changed", 1, id_(1))], "operator") == 1
    position = house.writer.execute(create(id_(50))).position
    assert reached(running, position)
    running.stop()
    assert raw_audit(house)[:12] == first
    assert verify(house.audit).mismatches == []


def until(reached: Callable[[], bool]) -> None:
    deadline = monotonic() + SOON
    while not reached():
        assert monotonic() < deadline
        sleep(0.01)


def test_a_runner_climbs_past_a_fence_that_the_leases_have_forgotten(house: House) -> None:
    house.fill()
    house.stores.tickets.take_over(4)
    assert house.stores.leases.current("tickets@1") is None
    running = runner(house, "one")
    running.start()
    assert reached(running, 12)
    running.stop()


class Ailing:
    """A log that fails in the way it is told."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.failure: Exception | None = None
        self.head, self.answers, self.commit = log.head, log.answers, log.commit
        self.read_partition, self.fragments = log.read_partition, log.fragments

    def read(self, after: int, limit: int) -> Sequence[Recorded]:
        if self.failure:
            raise self.failure
        return self._log.read(after, limit)

    def histories(self, ticket_ids: Collection[str]) -> Mapping[str, Sequence[Recorded]]:
        return self._log.histories(ticket_ids)


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (StoreUnavailable("no primary"), "no primary"),
        (ZeroDivisionError("a mistake of ours"), "ZeroDivisionError: a mistake of ours"),
    ],
    ids=["the store", "a mistake"],
)
def test_a_runner_says_what_ails_it_and_goes_on_when_that_is_over(
    house: House, failure: Exception, says: str
) -> None:
    house.fill()
    log = Ailing(house.log)
    log.failure = failure
    running = Runner(replace(house.tickets, log=log), Runners(house.head), Progress(), "one")
    running.start()
    until(lambda: running.problem == says)
    log.failure = None
    assert reached(running, 12)
    assert running.problem is None
    running.stop()


def test_a_runner_wakes_by_the_commit_and_not_by_its_heartbeat(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "HEARTBEAT", 10 * SOON)
    running = runner(house, "one")
    running.start()
    for n in range(5):
        assert reached(running, house.writer.execute(create(id_(n))).position)
    running.stop()


def test_a_runner_renews_its_lease_for_as_long_as_it_leads(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "HEARTBEAT", 0.1)
    house.fill()
    running = runner(house, "one")
    running.start()
    assert reached(running, 12)
    first = house.stores.leases.current("tickets@1")
    assert first

    def renewed() -> bool:
        lease = house.stores.leases.current("tickets@1")
        assert lease
        assert lease.fence == first.fence
        return lease.expires_at > first.expires_at

    until(renewed)
    running.stop()


def test_status_tells_how_the_view_stands_against_the_log(house: House) -> None:
    house.fill()
    before = version_status(house.tickets, 1, "live")
    assert (before.state, before.position, before.head, before.lag_events) == ("down", 0, 12, 12)
    assert before.lease is None

    applier = lead(house.tickets)
    applier.step(5)
    later = replace(house.tickets, clock=lambda: minute(2))
    behind = version_status(later, 1, "live")
    assert (behind.state, behind.position, behind.lag_events) == ("behind", 5, 7)
    assert behind.lag_seconds == 120.0

    catch_up(applier)
    current = version_status(later, 1, "live")
    assert (current.state, current.lag_events, current.lag_seconds) == ("current", 0, 0.0)
    assert current.lease
    assert current.lease.holder == "somebody"
    house.stores.leases.release("tickets@1", "somebody")
    assert version_status(later, 1, "live").state == "down"


def test_status_names_the_parked_tickets_oldest_first(house: House) -> None:
    house.fill()
    catch_up(lead(house.projected(Poison(id_(4), id_(2), "no hex at all").of(TICKETS))))
    assert [parked.position for parked in version_status(house.tickets, 1, "live").parked] == [
        2,
        5,
        11,
    ]


def test_a_lease_outlasts_several_heartbeats() -> None:
    assert LEASE_SECONDS >= 3 * HEARTBEAT
