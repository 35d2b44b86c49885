"""Each verb of a migration may be killed at any of its writes: asking again goes on, and ends as if
nothing had happened. Each test kills its verb at its first write, at its second, and so on to its
last, in the store and in the old system alike."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import bson
import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from domain.errors import BackupUnusable
from domain.ticket.events import LegacyRecordQuarantined, TicketImported
from infrastructure.journal.entries import JournalEntry
from infrastructure.log.ticket_log import TicketLog
from infrastructure.log.writer import Writer
from infrastructure.migration import changes as changes_module
from infrastructure.migration import comparison as comparison_module
from infrastructure.migration import follow as follow_module
from infrastructure.migration import importer as importer_module
from infrastructure.migration.adopt import adopt, roll_back_adoption, verify_adoption
from infrastructure.migration.adoption import GENERAL, adoption_of
from infrastructure.migration.backup import backup, intact_backup
from infrastructure.migration.destination import Destination
from infrastructure.migration.follow import FollowOptions, follow
from infrastructure.migration.imported_events import every_event
from infrastructure.migration.mismatches import Mismatch
from infrastructure.migration.place import FollowedPlace
from infrastructure.migration.proofs import Proofs
from infrastructure.migration.quarantine import RetryOptions, in_quarantine, retry
from infrastructure.migration.retire import retire
from infrastructure.migration.rollback import rollback
from infrastructure.migration.run import RunOptions, run
from infrastructure.migration.source import TICKETS, DatabaseSource, open_source
from infrastructure.migration.verify import verify
from infrastructure.mongodb.client import Document, database
from projections.tickets.projection import TICKETS as TICKETS_VIEW
from projections.versions import repair as repair_module
from projections.versions.followed import LiveProjection
from tests.support.dying_store import Death, deaths
from tests.support.old_system import content, record
from tests.support.rebuilds import House
from tests.support.stories import ACME, CATALOGUE, GLOBEX, START, catalogue
from tests.support.view_rows import open_store

SYSTEM = "workforce_2"
CLEAN = {"features": ["get_all", "create_worker"], "orgId": ObjectId(ACME), "createdAt": START}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of two records, and nothing that anybody has to wait for."""
    monkeypatch.setattr(importer_module, "_BATCH_RECORDS", 2)
    monkeypatch.setattr(comparison_module, "_STREAMS", 2)
    monkeypatch.setattr(changes_module, "GATHER", 0.01)
    monkeypatch.setattr(changes_module, "_WAIT", 0.01)
    monkeypatch.setattr(follow_module, "_PAUSE", 0.0)
    monkeypatch.setattr(repair_module, "LEASE_SECONDS", 0.0)
    monkeypatch.setattr(repair_module, "HEARTBEAT", 3_600.0)


@dataclass(frozen=True)
class Here:
    """One process that migrates, with its store opened: each record is a commit of its own."""

    destination: Destination
    tickets: LiveProjection[Any]


@contextmanager
def at_work(store_url: str) -> Iterator[Here]:
    with open_store(store_url) as opened:
        house = House(opened)
        writer = Writer(house.log, catalogue, lambda: START, lambda _: None, batch=1)

        def keep(action: str, details: Any) -> None:
            opened.journal.append([JournalEntry(START, "cli:ada", None, action, details, "cli-1")])

        with closing(house.writer), closing(writer):
            destination = Destination(
                log=house.log,
                writer=writer,
                notes=opened.stores.notes,
                catalogue=CATALOGUE,
                clock=lambda: START,
                actor="cli:ada",
                record=keep,
            )
            yield Here(destination, house.live(TICKETS_VIEW))


Verb = Callable[[Here], object]


def prove(urls: list[str], verb: Verb, check: Verb, again: Verb | None = None) -> list[Death]:
    """Kill the verb at each write to the first store and to the others; after each death ask
    `again`, check, and expect the log that it has when nothing dies."""
    died: list[Death] = []
    ends: list[object] = []
    for death in deaths(urls, verb, partial(at_work, urls[0])):
        died.append(death)
        death.a_minute_passes()
        with at_work(urls[0]) as here:
            (again or verb)(here)
            check(here)
            ends.append(streams(here.destination.log))
    for death, end in zip(died, ends, strict=True):
        assert end == ends[-1], death
    return died


def streams(log: TicketLog) -> dict[str, list[tuple[str, str]]]:
    """What was taken over into each stream, in order: kinds of events, and digests of records."""
    found = defaultdict[str, list[tuple[str, str]]](list)
    for recorded in every_event(log):
        event = recorded.event
        digest = ""
        if isinstance(event, TicketImported | LegacyRecordQuarantined):
            digest = event.source.digest
        found[recorded.ticket_id].append((event.TOPIC, digest))
    return dict(found)


Old = tuple[Database[Document], str]


@pytest.fixture
def old_system(mongodb_client: MongoClient[Document], mongodb_uri: str) -> Iterator[Old]:
    """An old system's database with records of every kind, and its address."""
    name = f"old_{ObjectId()}"
    opened = database(mongodb_client, name)
    opened[TICKETS].insert_many(records())
    yield opened, urlsplit(mongodb_uri)._replace(path=f"/{name}").geturl()
    mongodb_client.drop_database(name)


@pytest.fixture
def old(old_system: Old) -> Database[Document]:
    return old_system[0]


@pytest.fixture
def source_url(old_system: Old) -> str:
    return old_system[1]


def records() -> list[Document]:
    """Three clean, one that is repaired, one without a name, one whose id is no ObjectId."""
    random = Random(1)
    clean = [
        record(random, _id=ObjectId(f"{number:024x}"), name=f"Crew {number}", **CLEAN)
        for number in range(1, 4)
    ]
    repaired = record(random, _id=ObjectId(f"{4:024x}"), **CLEAN | {"orgId": ACME})
    unnamed = record(random, _id=ObjectId(f"{5:024x}"), **CLEAN)
    del unnamed["name"]
    return [*clean, repaired, unnamed, record(random, _id="by hand", **CLEAN)]


def change(old: Database[Document]) -> None:
    """What the old system does between two runs: it changes, corrects, moves, deletes, inserts."""
    later = START + timedelta(days=1)
    (one, two, three, *_), tickets = records(), old[TICKETS]
    tickets.update_one({"_id": one["_id"]}, {"$set": {"name": "Renamed", "updatedAt": later}})
    tickets.update_one({"_id": two["_id"]}, {"$set": {"orgId": ObjectId(GLOBEX)}})
    tickets.delete_many({"_id": {"$in": [three["_id"], "by hand"]}})
    tickets.update_one({"name": {"$exists": False}}, {"$set": {"name": "Named at last"}})
    new = ObjectId(f"{9:024x}")
    tickets.insert_one(record(Random(2), _id=new, name="New", **CLEAN))


MOVED = f"{2:024x}"
"""The record that a change gives to another organisation: no ticket can follow it there."""


@contextmanager
def opened(source_url: str) -> Iterator[DatabaseSource]:
    with open_source(source_url) as source:
        assert isinstance(source, DatabaseSource)
        yield source


def run_all(source_url: str, here: Here) -> None:
    options = RunOptions(system=SYSTEM, no_backup=True, gone=False)
    with opened(source_url) as source:
        run(here.destination, source, options, lambda _: None, lambda *_: None)


def follow_all(source_url: str, here: Here) -> None:
    options = FollowOptions(system=SYSTEM, gone=False, until_idle=True)
    with opened(source_url) as source:
        follow(here.destination, source, options, lambda _: None, lambda _: None)


def unexplained(source_url: str, here: Here) -> list[str | None]:
    """The tickets that differ from the source, and nothing accounts for it."""
    shown: list[Mismatch] = []
    with opened(source_url) as source:
        verify(here.destination, source, SYSTEM, shown.append, lambda _: None, lambda _: None)
    return [mismatch.ticket for mismatch in shown if mismatch.explained is None]


def accounted_for(source_url: str, here: Here) -> None:
    assert unexplained(source_url, here) == []


def accounted_for_but_the_moved(source_url: str, here: Here) -> None:
    assert set(unexplained(source_url, here)) == {MOVED}


@pytest.mark.parametrize("take_over", [run_all, follow_all], ids=["run", "follow"])
def test_taking_over_for_the_first_time(
    store_url: str, source_url: str, take_over: Callable[[str, Here], None]
) -> None:
    died = prove([store_url], partial(take_over, source_url), partial(accounted_for, source_url))
    assert len(died) > 5


@pytest.mark.parametrize("take_over", [run_all, follow_all], ids=["run", "follow"])
def test_taking_over_what_changed_since(
    old: Database[Document],
    store_url: str,
    source_url: str,
    take_over: Callable[[str, Here], None],
) -> None:
    with at_work(store_url) as here:
        take_over(source_url, here)
    change(old)
    verb = partial(take_over, source_url)
    died = prove([store_url], verb, partial(accounted_for_but_the_moved, source_url))
    assert len(died) > 5


def test_following_from_a_place_that_the_old_system_forgot(
    old: Database[Document], store_url: str, source_url: str
) -> None:
    with at_work(store_url) as here, opened(source_url) as source:
        follow_all(source_url, here)
        FollowedPlace(here.destination.notes, source, TICKETS).keep('{"_data": "zz"}')
    change(old)
    verb = partial(follow_all, source_url)
    prove([store_url], verb, partial(accounted_for_but_the_moved, source_url))


def test_trying_again_what_is_in_quarantine(
    old: Database[Document], store_url: str, source_url: str
) -> None:
    with at_work(store_url) as here:
        run_all(source_url, here)
    old[TICKETS].update_one({"name": {"$exists": False}}, {"$set": {"name": "Named at last"}})

    def try_again(here: Here) -> None:
        retry(here.destination, RetryOptions(ids=(), source=source_url, system=SYSTEM))

    def check(here: Here) -> None:
        assert [one.id for one in in_quarantine(here.destination.log)] == ["by hand"]
        accounted_for(source_url, here)

    prove([store_url], try_again, check)


def back_up(source_url: str, folder: Path, here: Here) -> None:
    with opened(source_url) as source:
        backup(here.destination, source, folder, lambda *_: None)


def test_making_a_backup(
    old: Database[Document], store_url: str, source_url: str, tmp_path: Path
) -> None:
    """A folder that is complete is never written again: then it takes a new one."""
    folders = (tmp_path / f"kept-{number}" for number in range(100))
    folder = next(folders)

    def make(here: Here) -> None:
        nonlocal folder
        folder = next(folders)
        back_up(source_url, folder, here)

    def again(here: Here) -> None:
        try:
            back_up(source_url, folder, here)
        except BackupUnusable:
            make(here)

    def check(here: Here) -> None:
        with opened(source_url) as source:
            made = intact_backup(Proofs(here.destination.notes, source.name, TICKETS), source.name)
        assert Path(made.folder, f"{TICKETS}.bson").read_bytes() == content(old)

    prove([store_url], make, check, again)


def proven(store_url: str, source_url: str, folder: Path) -> None:
    """All is taken over, backed up and verified."""
    with at_work(store_url) as here:
        follow_all(source_url, here)
        back_up(source_url, folder, here)
        accounted_for(source_url, here)


def remove(source_url: str, here: Here) -> None:
    with opened(source_url) as source:
        retire(here.destination, source, lambda _: None)


def put_back(source_url: str, here: Here) -> None:
    with opened(source_url) as source:
        rollback(here.destination, source, lambda _: None)


def test_removing_the_old_collection(
    old: Database[Document], store_url: str, source_url: str, tmp_path: Path
) -> None:
    proven(store_url, source_url, tmp_path / "kept")

    def check(here: Here) -> None:
        assert old.list_collection_names() == []

    prove([store_url, source_url], partial(remove, source_url), check)


@pytest.mark.parametrize("replaced", [False, True], ids=["gone", "replaced"])
def test_putting_the_old_collection_back(
    old: Database[Document], store_url: str, source_url: str, tmp_path: Path, replaced: bool
) -> None:
    old[TICKETS].create_index([("orgId", 1)], name="by organisation")
    before, indexes = content(old), old[TICKETS].index_information()
    proven(store_url, source_url, tmp_path / "kept")
    if replaced:
        change(old)
    else:
        old[TICKETS].drop()

    def check(here: Here) -> None:
        assert content(old) == before
        assert old[TICKETS].index_information() == indexes
        others = set(old.list_collection_names()) - {TICKETS}
        assert all(name.startswith(f"{TICKETS}_replaced_") for name in others)
        assert len(others) == replaced
        accounted_for(source_url, here)

    prove([store_url, source_url], partial(put_back, source_url), check)


@pytest.fixture
def documents(mongodb_database: Database[Document]) -> Database[Document]:
    """The store's own database, where a collection `tickets` was before."""
    each = [one | {"system": SYSTEM} for one in records()]
    mongodb_database[GENERAL].insert_many(each)
    return mongodb_database


def adopt_all(store_url: str, here: Here) -> None:
    with opened(store_url) as source:
        adopt(here.destination, source, here.tickets, lambda: "operator", lambda *_: None)


def test_adopting_a_collection(documents: Database[Document], mongodb_url: str) -> None:
    before = content(documents, GENERAL)

    def check(here: Here) -> None:
        shown: list[Mismatch] = []
        with opened(mongodb_url) as source:
            kept = adoption_of(source).kept
            verify_adoption(here.destination, source, shown.append)
        assert shown == []
        assert kept is not None and content(documents, kept.name) == before
        assert documents[GENERAL].count_documents({}) == 4

    prove([mongodb_url], partial(adopt_all, mongodb_url), check)


def test_going_back_from_an_adoption(documents: Database[Document], mongodb_url: str) -> None:
    before = content(documents, GENERAL)
    with at_work(mongodb_url) as here:
        adopt_all(mongodb_url, here)

    def go_back(here: Here) -> None:
        with opened(mongodb_url) as source:
            if adoption_of(source).kept is not None:
                roll_back_adoption(here.destination, source)

    def check(here: Here) -> None:
        assert content(documents, GENERAL) == before
        assert not [name for name in documents.list_collection_names() if "adopted" in name]

    prove([mongodb_url], go_back, check)


def test_the_records_are_of_every_kind() -> None:
    every = [bson.encode(one) for one in records()]
    assert len(set(every)) == 6
