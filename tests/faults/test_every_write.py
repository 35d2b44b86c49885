"""Whatever changes a store may be killed at any of its writes: what it leaves is gone on with, and
ends as if nothing had happened. Each test kills its command at its first write, at its second, and
so on to its last."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent
from pymongo import MongoClient
from pymongo.synchronous import command_runner

from domain.errors import TicketNotParked
from infrastructure.log.chain_check import check_chain
from projections.audit.projection import AUDIT
from projections.running.applier import Applier
from projections.running.projection import Projection, ViewChange
from projections.tickets.projection import TICKETS
from projections.versions import build as build_module
from projections.versions import repair as repair_module
from projections.versions.build import PartitionBuilder
from projections.versions.control import cancel, drop_old, roll_back
from projections.versions.followed import LiveProjection
from projections.versions.parked import parked_in, retry_everywhere, skip
from projections.versions.rebuild import Wanted
from projections.versions.repair import leading, repair
from projections.versions.verification import verify
from tests.support.dying_store import Death, Died, deaths, dying
from tests.support.rebuilds import House, followed, poisoned, rebuilt, rows, rows_without
from tests.support.stories import START, change, create, id_, quarantine, rename, retire
from tests.support.view_rows import open_store

BOTH = pytest.mark.parametrize("projection", [TICKETS, AUDIT], ids=lambda p: p.name)

FAULTY = 6
"""The number of the ticket that some of the projections here cannot project."""


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of a few positions, each written at once, and leases that nobody has to wait for."""
    monkeypatch.setattr(build_module, "SLICE", 8)
    monkeypatch.setattr(build_module, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(repair_module, "LEASE_SECONDS", 0.0)
    monkeypatch.setattr(repair_module, "HEARTBEAT", 3_600.0)


@contextmanager
def at_work(store_url: str) -> Iterator[House]:
    """A new process on the store."""
    with open_store(store_url) as opened:
        house = House(opened)
        with closing(house.writer):
            yield house


def fill(house: House) -> None:
    """Fifteen events of six tickets and of a record."""
    house.writer.execute(*(create(id_(number)) for number in range(1, 7)))
    house.writer.execute(*(rename(f"Name {number}", id_(number)) for number in range(3, 7)))
    house.writer.execute(quarantine("no hex at all"), retire(id_(1)))
    house.writer.execute(change("delete_area", ticket_id=id_(2)), retire(id_(2)))
    house.writer.execute(rename("Later", id_(FAULTY)))


@dataclass(frozen=True)
class Proof:
    """What is killed at each of its writes: `command`, after `before`. `again` is what an operator
    does about it, and leaves the live version at one of the numbers `ends`."""

    command: Callable[[LiveProjection[Any], House], object]
    again: Callable[[LiveProjection[Any], House], object]
    before: Callable[[LiveProjection[Any], House], object] = lambda live, house: None
    ends: tuple[int, ...] = (1,)
    switches: bool = False
    """Whether the transaction of a switch may stay open, in the way of what is done about it:
    those of a runner are ended by whoever takes over."""


def prove(store_url: str, projection: Projection[Any], proof: Proof, *passed: int) -> list[Death]:
    with at_work(store_url) as house:
        fill(house)
        expected = rows_without(house, projection, *passed)
        proof.before(house.live(projection), house)
    died = []

    def command(house: House) -> object:
        return proof.command(house.live(projection), house)

    for death in deaths([store_url], command, partial(at_work, store_url)):
        died.append(death)
        with at_work(store_url) as house:
            live = house.live(projection)
            if proof.switches:
                death.a_minute_passes()
            proof.again(live, house)
            assert house.log.head() == 15, death
            registry = live.versions.registry()
            assert (registry.live in proof.ends, registry.building) == (True, None), death
            for version in registry.versions:
                followed(live, version, fence=1_000_000)
                found = verify(live.projected(version))
                assert (found.mismatches, found.parked) == ([], []), death
                assert rows(live, version) == expected, death
            drop_old(live, lambda _: None)
            assert live.versions.leftovers() == [], death
            live.versions.publish()
            check_published(store_url, projection, registry.live)
    return died


def check_published(store_url: str, projection: Projection[Any], version: int) -> None:
    """Others find the live version of the tickets under its well-known name."""
    if projection is TICKETS and not store_url.startswith("sqlite:"):
        with MongoClient[Any](store_url) as client:
            (view,) = client.get_default_database().list_collections(filter={"name": "tickets"})
            assert view["options"]["viewOn"] == f"tickets_{version}"


def rebuild(live: LiveProjection[Any], house: House) -> None:
    assert rebuilt(live, house.log.head).state == "switched"


def rebuilding(before: Callable[[LiveProjection[Any], House], object]) -> Proof:
    return Proof(rebuild, rebuild, before, ends=(2, 3), switches=True)


def follow(live: LiveProjection[Any], house: House) -> None:
    """As a runner does, a few events at a time."""
    projected = live.projected(1)
    fence = house.opened.leases.seize(projected.view.name, "runner", 0.0)
    applier: Applier[Any] = Applier(projected, fence)
    while applier.step(4):
        pass


def follow_together(live: LiveProjection[Any], house: House) -> None:
    """As the runners of both views do, which may share their transactions."""
    appliers: list[Applier[Any]] = []
    for projection in (TICKETS, AUDIT):
        projected = house.live(projection).projected(1)
        fence = house.opened.leases.seize(projected.view.name, "runner", 0.0)
        appliers.append(Applier(projected, fence))
    while events := house.log.read(appliers[0].position, 4):
        ready = [prepared for one in appliers if (prepared := one.prepare(events))]
        steps = [prepared.step for prepared in ready]
        take = house.opened.stores.take_steps
        errors = take(steps) if take else [step.take() for step in steps]
        for applier, prepared, error in zip(appliers, ready, errors, strict=True):
            applier.settle(prepared, error)


def current(live: LiveProjection[Any], house: House) -> None:
    """Every version follows the log."""
    for version in (live.versions.registry().live, *live.versions.registry().kept):
        with leading(live.projected(version), "runner") as (applier, _):
            while applier.step():
                pass


def two_versions(live: LiveProjection[Any], house: House) -> None:
    current(live, house)
    rebuild(live, house)
    current(live, house)


@BOTH
def test_a_rebuild_with_its_switch(store_url: str, projection: Projection[Any]) -> None:
    died = prove(
        store_url, projection, Proof(rebuild, rebuild, before=current, ends=(2, 3), switches=True)
    )
    assert len(died) > 20


@BOTH
def test_going_on_with_a_version_that_was_compared(
    store_url: str, projection: Projection[Any]
) -> None:
    def compare(live: LiveProjection[Any], house: House) -> None:
        current(live, house)
        assert rebuilt(live, house.log.head, wanted=Wanted(dry_run=True)).state == "compared"

    prove(
        store_url, projection, Proof(rebuild, rebuild, before=compare, ends=(2, 3), switches=True)
    )


@BOTH
def test_going_back(store_url: str, projection: Projection[Any]) -> None:
    """To a version that nobody kept current."""

    def before(live: LiveProjection[Any], house: House) -> None:
        projected = live.projected(1)
        Applier(projected, 1).step(9)
        rebuild(live, house)

    def again(live: LiveProjection[Any], house: House) -> None:
        if live.versions.registry().live == 2:
            roll_back(live, "operator")

    def back(live: LiveProjection[Any], house: House) -> None:
        assert roll_back(live, "operator") == 1

    prove(store_url, projection, Proof(back, again, before, switches=True))


@BOTH
def test_deleting_old_versions(store_url: str, projection: Projection[Any]) -> None:
    def before(live: LiveProjection[Any], house: House) -> None:
        two_versions(live, house)
        rebuild(live, house)

    def drop(live: LiveProjection[Any], house: House) -> None:
        drop_old(live, lambda _: None)

    prove(store_url, projection, Proof(drop, drop, before, ends=(3,)))


@BOTH
def test_cancelling(store_url: str, projection: Projection[Any]) -> None:
    def before(live: LiveProjection[Any], house: House) -> None:
        current(live, house)
        build = live.versions.begin(house.log.head(), 2)
        builder: PartitionBuilder[Any] = PartitionBuilder(live.projected(build.version), build, 0)
        builder.step()
        builder.flush()

    def give_up(live: LiveProjection[Any], house: House) -> None:
        cancel(live, lambda _: None)

    prove(store_url, projection, Proof(give_up, give_up, before))


@BOTH
def test_following_the_log(store_url: str, projection: Projection[Any]) -> None:
    prove(store_url, projection, Proof(follow, follow))


@BOTH
def test_following_the_log_in_one_pass(store_url: str, projection: Projection[Any]) -> None:
    prove(store_url, projection, Proof(follow_together, follow))


@BOTH
def test_skipping_an_event(store_url: str, projection: Projection[Any]) -> None:
    faulty = poisoned(projection, id_(FAULTY), 2)

    def skipping(live: LiveProjection[Any], house: House) -> None:
        with suppress(TicketNotParked):
            skip(house.live(faulty), id_(FAULTY), "cli:ada", "by hand", "operator", lambda: START)

    def before(live: LiveProjection[Any], house: House) -> None:
        two_versions(house.live(faulty), house)
        assert [parked.position for parked in parked_in(live)] == [10]

    prove(store_url, projection, Proof(skipping, skipping, before, ends=(2,)), 10)


@BOTH
def test_skipping_an_event_that_one_version_had_applied(
    store_url: str, projection: Projection[Any]
) -> None:
    """The ticket is parked in the live version alone. Where that goes on and the other one has
    yet to take the event back, verifying finds and repairs it."""
    faulty = poisoned(projection, id_(FAULTY), 2)

    def before(live: LiveProjection[Any], house: House) -> None:
        current(live, house)
        accepting = Wanted(accept_parked=True)
        found = rebuilt(house.live(faulty), house.log.head, wanted=accepting)
        assert (found.state, [parked.position for parked in found.parked]) == ("switched", [10])

    def skipping(live: LiveProjection[Any], house: House) -> None:
        with suppress(TicketNotParked):
            skip(house.live(faulty), id_(FAULTY), "cli:ada", "by hand", "operator", lambda: START)

    def again(live: LiveProjection[Any], house: House) -> None:
        skipping(live, house)
        for version in (1, 2):
            projected = live.projected(version)
            repair(projected, verify(projected).mismatches, "operator")

    prove(store_url, projection, Proof(skipping, again, before, ends=(2,)), 10)


@BOTH
def test_retrying_a_ticket(store_url: str, projection: Projection[Any]) -> None:
    faulty = poisoned(projection, id_(FAULTY), 2)

    def retrying(live: LiveProjection[Any], house: House) -> None:
        with suppress(TicketNotParked):
            assert retry_everywhere(live, id_(FAULTY), "operator") is None

    prove(
        store_url,
        projection,
        Proof(retrying, retrying, lambda _, house: two_versions(house.live(faulty), house), (2,)),
    )


@BOTH
def test_repairing_a_view(store_url: str, projection: Projection[Any]) -> None:
    def before(live: LiveProjection[Any], house: House) -> None:
        current(live, house)
        keys = [key for key, _ in rows(live, 1)]
        with leading(live.projected(1), "somebody") as (applier, _):
            live.versions.view(1).mend(dict.fromkeys(keys[1:4]), applier.fence)

    def mend(live: LiveProjection[Any], house: House) -> None:
        projected = live.projected(1)
        repair(projected, verify(projected).mismatches, "operator")

    prove(store_url, projection, Proof(mend, mend, before))


def test_appending(store_url: str) -> None:
    """What was acknowledged is there, and what is there is whole."""
    acknowledged: list[int] = []

    def append(house: House) -> None:
        acknowledged.clear()
        for number in (1, 2, 3):
            house.writer.execute(create(id_(number)), rename("Chief", id_(number)))
            acknowledged.append(number)

    for death in deaths([store_url], append, partial(at_work, store_url)):
        with at_work(store_url) as house:
            done = len(acknowledged)
            assert house.log.head() in (2 * done, 2 * done + 2), death
            assert (done == 3) == death.never
            check_chain(house.opened.log, [], lambda position, end: None)
            house.writer.execute(create(id_(9)))
            assert house.log.histories([id_(9)])[id_(9)]


def test_making_a_store(store_url: str) -> None:
    def make(_: None) -> None:
        with open_store(store_url):
            pass

    for death in deaths([store_url], make):
        with at_work(store_url) as house:
            fill(house)
            for projection in (TICKETS, AUDIT):
                live = house.live(projection)
                rebuild(live, house) if followed(live, 1) else None
                assert verify(live.live_version.projected).mismatches == [], death


def event(version: int) -> StoredEvent:
    return StoredEvent("stream", version, "counted", b"{}")


def test_every_write_is_counted(store_url: str) -> None:
    with dying() as store, open_store(store_url) as opened:
        assert len(store.writes) > 10
        store.writes.clear()
        opened.log.commit(0, [event(1), event(2)])
        opened.log.head()
        assert store.writes == (
            ["INSERT", "COMMIT"] if store_url.startswith("sqlite:") else ["insert"]
        )
        store.writes.clear()
        opened.tickets.take_over(1)
        opened.tickets.apply(ViewChange(0, 1, ()), 1)
        assert store.writes == (
            ["UPDATE", "COMMIT", "UPDATE", "COMMIT"]
            if store_url.startswith("sqlite:")
            else ["findAndModify", "update", "commitTransaction"]
        )


def test_nothing_reaches_a_dead_store(store_url: str) -> None:
    with dying() as store, open_store(store_url) as opened:
        opened.log.commit(0, [event(1)])
        store.dead = True
        for ask in (opened.log.head, lambda: opened.log.commit(1, [event(2)])):
            with pytest.raises(Died):
                ask()
    with open_store(store_url) as opened:
        assert opened.log.head() == 1


def test_the_driver_still_sends_every_command_through_one_function() -> None:
    """A driver that does not would have its writes pass by uncounted."""
    assert callable(command_runner._run_command)
    for way in ("run_command", "run_bulk_write_command", "run_cursor_command"):
        assert "_run_command" in getattr(command_runner, way).__code__.co_names


def test_a_step_in_the_wrong_order_is_found(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A builder that says how far it has come before it writes what it has read."""
    with open_store(store_url) as opened:
        kind: Any = type(opened.tickets)
    load = kind.load

    def hasty(self: Any, partition: int, upto: int, rows: Any, parked: Any) -> None:
        load(self, partition, upto, (), parked)
        load(self, partition, upto, rows, ())

    monkeypatch.setattr(kind, "load", hasty)
    with pytest.raises(AssertionError):
        prove(
            store_url, TICKETS, Proof(rebuild, rebuild, before=current, ends=(2, 3), switches=True)
        )
