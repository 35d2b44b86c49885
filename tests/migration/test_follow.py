"""Following the old system while it is written to, as an operator does it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import bson
import pytest
from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database

from api.composition import open_service, open_stores
from domain.origin import Origin, milliseconds
from domain.ticket.commands import RenameTicket
from domain.ticket.events import LegacyRecordQuarantined
from domain.ticket.state import fold
from infrastructure.configuration.settings import load_settings
from infrastructure.migration.bson import id_of
from infrastructure.mongodb.client import Document
from tests.support.following import check_equal, check_once, follow, following, histories, run
from tests.support.old_system import RAW, OldSystem, at_work, content, old_database, record
from tests.support.server import environment, until

ON_SQLITE = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
"""For tests of what does not depend on the store."""

Old = tuple[Database[Document], str]


@pytest.fixture
def old_system(mongodb_client: MongoClient[Document], mongodb_uri: str) -> Iterator[Old]:
    with old_database(mongodb_client, mongodb_uri, 300) as opened:
        yield opened


@pytest.fixture
def old(old_system: Old) -> Database[Document]:
    """The old system's database, with 300 records."""
    return old_system[0]


@pytest.fixture
def source(old_system: Old) -> str:
    return old_system[1]


def test_following_takes_over_what_is_there_and_then_what_changes(
    old: Database[Document], source: str, store_url: str
) -> None:
    assert follow(source, store_url) == {
        "imported": 300,
        "quarantined": 0,
        "removed": 0,
        "unchanged": 0,
        "changedHere": 0,
        "replaced": 0,
    }
    changing = OldSystem(old, seed=3)
    for _ in range(400):
        changing.change()
    before = content(old)
    follow(source, store_url)
    check_equal(old, store_url)
    check_once(store_url)
    assert follow(source, store_url) == dict.fromkeys(
        ("imported", "quarantined", "removed", "unchanged", "changedHere", "replaced"), 0
    )
    assert content(old) == before


@ON_SQLITE
def test_a_record_that_is_deleted_retires_its_ticket_and_one_that_comes_back_restores_it(
    old: Database[Document], source: str, store_url: str
) -> None:
    first = old["ticket_1"].find_one() or {}
    follow(source, store_url)
    for change, retired in (
        (lambda: old["ticket_1"].delete_one({"_id": first["_id"]}), True),
        (lambda: old["ticket_1"].insert_one(first), False),
    ):
        change()
        follow(source, store_url)
        ticket = fold(histories(store_url)[str(first["_id"])])
        assert ticket and ticket.retired is retired


@ON_SQLITE
def test_a_record_that_can_not_be_read_is_kept_aside_until_it_is_corrected_or_gone(
    old: Database[Document], source: str, store_url: str
) -> None:
    raw = old["ticket_1"].with_options(RAW)
    first, second = (
        RawBSONDocument(bson.encode(record(Random(seed), name="??")).replace(b"??", b"\xff?"))
        for seed in (1, 2)
    )
    far = record(Random(3), createdAt=DatetimeMS(10**15))
    names = [str(id_of(bytes(unreadable.raw))) for unreadable in (first, second)]
    raw.insert_one(first)
    taken = follow(source, store_url)
    assert (taken["imported"], taken["quarantined"], taken["removed"]) == (300, 1, 0)
    raw.insert_one(second)
    old["ticket_1"].insert_one(far)
    taken = follow(source, store_url)
    assert (taken["imported"], taken["quarantined"], taken["removed"]) == (1, 1, 0)
    found = histories(store_url)
    for name in names:
        (recorded,) = found[name]
        assert isinstance(recorded.event, LegacyRecordQuarantined)
        assert "no readable BSON" in recorded.event.reason

    old["ticket_1"].update_one({"_id": ObjectId(names[0])}, {"$set": {"name": "Corrected"}})
    old["ticket_1"].delete_one({"_id": ObjectId(names[1])})
    taken = follow(source, store_url)
    assert (taken["imported"], taken["quarantined"], taken["removed"]) == (1, 0, 1)
    code, out, err = run("migrate", "verify", "--source", source, store=store_url)
    assert (code, out) == (0, ""), err


@ON_SQLITE
def test_what_is_lost_of_the_history_is_made_up_for_by_comparing_all_records(
    old: Database[Document], source: str, store_url: str
) -> None:
    follow(source, store_url)
    with open_stores(load_settings(environment(store_url))) as stores:
        address = urlsplit(source)
        name = f"followed {address.netloc}{address.path} ticket_1"
        assert stores.notes.find(name)
        stores.notes.keep(name, '{"_data": "zz"}')
    changing = OldSystem(old, seed=4)
    for _ in range(100):
        changing.change()
    code, _, err = run("migrate", "follow", "--source", source, "--until-idle", store=store_url)
    assert code == 0
    assert "no longer remembers" in err and "All records are compared instead." in err
    check_equal(old, store_url)
    check_once(store_url)


@ON_SQLITE
def test_of_two_changes_the_later_one_stays_and_the_other_is_told(
    old: Database[Document], source: str, store_url: str
) -> None:
    follow(source, store_url)
    stays, goes, same = (one["_id"] for one in old["ticket_1"].find().limit(3))
    with open_service(load_settings(environment(store_url)), run_projections=False) as service:
        origin = Origin("ada", None, "request-1", None, milliseconds(service.clock()))
        for ticket in (stays, goes, same):
            service.writer.execute(RenameTicket(str(ticket), origin, None, None, "Named here"))
    later = datetime.now(UTC) + timedelta(minutes=1)
    old["ticket_1"].update_one({"_id": stays}, {"$set": {"name": "There"}})
    old["ticket_1"].update_one({"_id": goes}, {"$set": {"name": "There", "updatedAt": later}})
    command = ("migrate", "follow", "--source", source, "--until-idle")
    code, _, err = run(*command, store=store_url)
    assert code == 0
    assert "1 kept as changed here; 1 replaced a change made here" in err
    found = histories(store_url)
    assert [getattr(fold(found[str(one)]), "name", "") for one in (stays, goes, same)] == [
        *("Named here", "There", "Named here")
    ]
    code, out, err = run("migrate", "verify", "--source", source, store=store_url)
    told = {one["ticket"]: one for one in map(json.loads, out.splitlines())}
    assert (code, set(told)) == (0, {str(stays), str(goes)}), err
    for one, why in ((stays, "stays like that"), (goes, "replaced it")):
        listed = told[str(one)]
        assert (listed["kind"], listed["field"]) == ("content", "name")
        assert (listed["expected"], listed["found"]) == ("There", "Named here")
        assert why in listed["explained"]


@pytest.mark.parametrize(
    ("times", "changes"), [(2, 60), pytest.param(4, 200, marks=pytest.mark.exhaustive)]
)
def test_following_keeps_up_with_an_old_system_at_work_and_says_its_lag(
    times: int, changes: int, old: Database[Document], source: str, store_url: str, tmp_path: Path
) -> None:
    said = tmp_path / "said.txt"
    with following(source, store_url, said):
        until(lambda: "lag" in said.read_text())
        for seed in range(times):
            change_then_check(old, store_url, seed, changes)
        check_once(store_url)


def change_then_check(old: Database[Document], store_url: str, seed: int, changes: int) -> None:
    """Once the last change is here, all are; nothing that was read is older than its change."""
    changing, last = OldSystem(old, seed), record(Random(seed))
    with at_work(changing):
        until(lambda: changing.changes > changes)
    old["ticket_1"].insert_one(last)
    until(lambda: str(last["_id"]) in histories(store_url))
    check_equal(old, store_url)


@ON_SQLITE
def test_a_collection_that_is_dropped_ends_following_and_retires_nothing(
    old: Database[Document], source: str, store_url: str
) -> None:
    follow(source, store_url)
    old["ticket_1"].drop()
    code, _, err = run("migrate", "follow", "--source", source, "--until-idle", store=store_url)
    assert code == 4
    assert "dropped or renamed" in err
    code, _, err = run("migrate", "follow", "--source", source, "--until-idle", store=store_url)
    assert code == 4
    assert "nothing in the collection ticket_1" in err
    tickets = [fold(history) for history in histories(store_url).values()]
    assert len(tickets) == 300
    assert not any(ticket is None or ticket.retired for ticket in tickets)


@ON_SQLITE
def test_a_folder_of_dumps_can_not_be_followed(store_url: str, tmp_path: Path) -> None:
    code, _, err = run("migrate", "follow", "--source", str(tmp_path), store=store_url)
    assert code == 4
    assert "folder of dumps" in err


@ON_SQLITE
def test_an_old_system_that_does_not_answer_is_told(store_url: str) -> None:
    code, _, err = run(
        *("migrate", "follow", "--source", "mongodb://127.0.0.1:1/old"), store=store_url
    )
    assert code == 4
    assert "does not answer" in err


def test_a_dry_run_takes_nothing_over(
    old: Database[Document], source: str, mongodb_url: str
) -> None:
    code, _, err = run("migrate", "follow", "--source", source, "--dry-run", store=mongodb_url)
    assert code == 0
    assert "Would compare every record first." in err
    assert histories(mongodb_url) == {}
