"""Whatever is wrong in a view is found, and mended."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from domain.errors import EventUnreadable
from infrastructure.configuration.addresses import SQLiteStore, parse_store
from infrastructure.log import codec
from infrastructure.log.ticket_log import TicketLog
from projections.audit.projection import AUDIT
from projections.running.projection import Projection
from projections.tickets.projection import TICKETS
from projections.versions.parked import parked_in, retry_everywhere
from projections.versions.repair import repair
from projections.versions.verification import unreadable, verify
from tests.support.rebuilds import House, followed, poisoned, rebuilt, rows
from tests.support.stories import change, create, id_, rename, retire
from tests.support.view_faults import vandal
from tests.support.view_rows import open_store

BOTH = pytest.mark.parametrize("projection", [TICKETS, AUDIT], ids=lambda p: p.name)

AT_ONCE = 25


@pytest.fixture
def house(store_url: str) -> Iterator[House]:
    with open_store(store_url) as opened:
        house = House(opened)
        with closing(house.writer):
            house.fill()
            for n in range(100, 140):
                house.writer.execute(create(id_(n)), change("delete_area", ticket_id=id_(n)))
                house.writer.execute(retire(id_(n)) if n % 5 == 0 else rename(f"N {n}", id_(n)))
            yield house


def harmed_and_mended(house: House, url: str, projection: Projection[Any], faults: int) -> int:
    """Do that much harm, some at a time, and see all of it found and mended; how much it was."""
    live, random, done = house.live(projection), Random(f"{projection.name} {faults}"), 0
    followed(live, 1, fence=0)
    right = rows(live, 1)
    projected = live.projected(1)
    with vandal(url, f"{projection.name}_1") as somebody:
        before = somebody.everything()
        while done < faults:
            for _ in range(AT_ONCE):
                somebody.harm(random)
            after = somebody.everything()
            harmed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}

            found = verify(projected)

            assert {one.key for one in found.mismatches} == harmed
            for one in found.mismatches:
                left = "changed" if after.get(one.key, [None])[0] else "missing"
                assert one.kind == (left if one.key in before else "extra"), one
            assert repair(projected, found.mismatches, "operator") == len(harmed)
            assert verify(projected).mismatches == []
            assert somebody.everything() == before
            assert rows(live, 1) == right
            done += len(harmed)
    return done


@BOTH
@pytest.mark.parametrize("faults", [150, pytest.param(1_000, marks=pytest.mark.exhaustive)])
def test_faults_of_every_kind_are_all_found_and_all_mended(
    house: House, store_url: str, projection: Projection[Any], faults: int
) -> None:
    assert harmed_and_mended(house, store_url, projection, faults) >= faults


def test_an_extra_row_with_something_in_it_that_no_row_of_ours_holds_is_found(
    house: House, store_url: str
) -> None:
    live = house.live(TICKETS)
    followed(live, 1, fence=0)
    store = parse_store("TICKETBOOK_STORE", store_url)
    if isinstance(store, SQLiteStore):
        with closing(sqlite3.connect(store.path)) as connection, connection:
            connection.executescript(
                "CREATE TEMP TABLE extra AS SELECT * FROM tickets_1 LIMIT 1;"
                f"""UPDATE extra SET id = '{id_(999)}', features = '[["get_all"]]';"""
                "INSERT INTO tickets_1 SELECT * FROM extra;"
            )
    else:
        with MongoClient[dict[str, Any]](store.uri) as client:
            tickets = client[store.database]["tickets_1"]
            extra = tickets.find_one() or {}
            tickets.insert_one(extra | {"_id": ObjectId(id_(999)), "features": [["get_all"]]})

    (found,) = verify(live.projected(1)).mismatches

    assert (found.kind, found.key) == ("extra", id_(999))


@BOTH
def test_a_rebuild_shows_whatever_was_done_to_the_rows_and_leaves_it_behind(
    house: House, store_url: str, projection: Projection[Any]
) -> None:
    live, random = house.live(projection), Random(projection.name)
    followed(live, 1, fence=0)
    right = rows(live, 1)
    with vandal(store_url, f"{projection.name}_1") as somebody:
        for _ in range(150):
            somebody.harm(random)
    due, there = dict(right), dict(rows(live, 1))
    harmed = {k for k in due.keys() | there.keys() if due.get(k, ()) != there.get(k, ())}

    found = rebuilt(live, house.log.head)

    assert found.state == "switched"
    assert {one.key for one in found.live} == harmed
    assert len(harmed) > 20
    assert rows(live, 2) == right


@BOTH
@pytest.mark.parametrize("fails_from", [1, 2])
def test_what_an_event_that_fails_here_made_of_a_ticket_is_told_and_never_reverted(
    house: House, projection: Projection[Any], fails_from: int
) -> None:
    followed(house.live(projection), 1, fence=0)
    elsewhere = house.live(poisoned(projection, id_(100), fails_from))
    right, projected = rows(elsewhere, 1), elsewhere.projected(1)
    first, *others = [one.position for one in house.log.histories([id_(100)])[id_(100)]]
    positions = [first, *others][fails_from - 1 :]
    expected = positions if projection.every else [id_(100)]
    beside = positions[0] - 1 if projection.every else id_(101)
    fence = projected.leases.seize(projected.view.name, "a vandal", 0.1)
    projected.view.mend({beside: None}, fence)

    found = verify(projected)

    assert {one.key: one.kind for one in found.mismatches} == {
        **dict.fromkeys(expected, "unreadable"),
        beside: "missing",
    }
    whys = {one.why for one in found.mismatches if one.kind == "unreadable"}
    assert whys == {f"position {positions[0]}: ZeroDivisionError: poisoned"}
    assert unreadable(found) == len(expected)
    assert repair(projected, found.mismatches, "operator") == 1
    assert (rows(elsewhere, 1), len(verify(projected).mismatches)) == (right, len(expected))
    assert {one.kind for one in verify(projected).mismatches} == {"unreadable"}
    assert verify(house.live(projection).projected(1)).mismatches == []


@BOTH
def test_an_event_that_was_damaged_after_it_was_applied_is_told(
    house: House, projection: Projection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    followed(house.live(projection), 1, fence=0)
    at = house.log.histories([id_(100)])[id_(100)][1].position
    decode = codec.decode

    def damaged(stored: Any) -> Any:
        if stored.id == at:
            raise EventUnreadable("damaged", at, id_(100))
        return decode(stored)

    monkeypatch.setattr(codec, "decode", damaged)
    live = replace(house.live(projection).projected(1), log=TicketLog(house.opened.log, tail=0))
    right = list(live.view.rows())

    found = verify(live)

    assert {one.kind for one in found.mismatches} == {"unreadable"}
    assert {one.ticket_id for one in found.mismatches} == {id_(100)}
    assert len(found.mismatches) == (2 if projection.every else 1)
    assert repair(live, found.mismatches, "operator") == 0
    assert list(live.view.rows()) == right


@BOTH
def test_a_parked_ticket_is_compared_up_to_where_it_waits(
    house: House, store_url: str, projection: Projection[Any]
) -> None:
    faulty = house.live(poisoned(projection, id_(100), 3))
    followed(faulty, 1, fence=0)
    (parked,) = parked_in(faulty)
    projected = faulty.projected(1)
    assert (verify(projected).mismatches, verify(projected).parked) == ([], [id_(100)])
    right = rows(faulty, 1)
    (key,) = [k for k, row in right if k == id_(100) or k == parked.position - 1]
    fence = projected.leases.seize(projected.view.name, "a vandal", 0.1)
    projected.view.mend({key: None}, fence)

    (found,) = verify(projected).mismatches
    assert (found.kind, found.key, found.ticket_id) == ("missing", key, id_(100))
    repair(projected, [found], "operator")
    assert (verify(projected).mismatches, rows(faulty, 1)) == ([], right)

    mended = house.live(projection)
    assert retry_everywhere(mended, id_(100), "operator") is None
    found_later = verify(mended.projected(1))
    assert (found_later.mismatches, found_later.parked) == ([], [])
