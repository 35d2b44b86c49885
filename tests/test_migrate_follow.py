"""Following the old system while it is written to, as an operator does it."""

import json
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from api.composition import open_stores
from domain.events import (
    LegacyRecordQuarantined,
    LegacyRecordRemoved,
    Recorded,
    TicketImported,
)
from domain.ticket import fold
from infrastructure.legacy.records import stream_id
from infrastructure.mongodb.client import Document, database
from infrastructure.settings import load_settings
from infrastructure.ticket_log import TicketLog
from tests.killing import Command
from tests.old_system import OldSystem, at_work, content, fill, record
from tests.server import SECRET, environment, until
from tests.test_command_line import COMMAND
from tests.test_command_line import run as run_anywhere


@pytest.fixture
def old(mongodb_client: MongoClient[Document]) -> Iterator[Database[Document]]:
    """The old system's database, with 300 records."""
    name = f"old_{ObjectId()}"
    opened = database(mongodb_client, name)
    fill(opened, 300)
    yield opened
    mongodb_client.drop_database(name)


@pytest.fixture
def source(mongodb_uri: str, old: Database[Document]) -> str:
    return urlsplit(mongodb_uri)._replace(path=f"/{old.name}").geturl()


def run(*arguments: str, store: str) -> tuple[int, str, str]:
    return run_anywhere(*arguments, store=store, TICKETBOOK_AUTH_SECRET=SECRET)


def follow(source: str, store_url: str) -> dict[str, int]:
    """Follow until there is nothing left to take over; how many records became what."""
    code, out, err = run(
        *("migrate", "follow", "--source", source, "--until-idle", "--json"), store=store_url
    )
    assert code == 0, err
    taken: dict[str, int] = json.loads(out)
    return taken


def histories(store_url: str) -> dict[str, list[Recorded]]:
    with open_stores(load_settings(environment(store_url))) as stores:
        log, found = TicketLog(stores.log), defaultdict[str, list[Recorded]](list)
        position = 0
        while events := log.read(position, 10_000):
            for recorded in events:
                found[recorded.ticket_id].append(recorded)
            position = events[-1].position
    return found


def check_equal(old: Database[Document], store_url: str) -> None:
    """Each record is a ticket of the same content or in quarantine, and nothing else is in use."""
    found = histories(store_url)
    records = {stream_id(one["_id"]): one for one in old["ticket_1"].find()}
    for name, one in records.items():
        last = found[name][-1].event
        if isinstance(last, LegacyRecordQuarantined):
            assert "by hand" in name or "name" not in one or one["features"] == "get_all"
            continue
        assert isinstance(last, TicketImported)
        features = [*last.features, *last.unknown_features]
        assert (last.name, last.org_id) == (one["name"], str(one["orgId"]))
        assert features == list(dict.fromkeys(one["features"]))
        assert last.updated_at == one.get("updatedAt", last.updated_at)
    for name in found.keys() - records.keys():
        ticket = fold(found[name])
        assert ticket is None or ticket.retired
        assert isinstance(found[name][-1].event, LegacyRecordRemoved)


def check_once(store_url: str) -> None:
    """Nothing was taken in twice: what follows a record in a stream is always something else."""
    for history in histories(store_url).values():
        taken = [
            recorded.event.source.digest
            if isinstance(recorded.event, TicketImported | LegacyRecordQuarantined)
            else "gone"
            for recorded in history
        ]
        assert all(one != other for one, other in pairwise(taken))


def test_following_takes_over_what_is_there_and_then_what_changes(
    old: Database[Document], source: str, store_url: str
) -> None:
    assert follow(source, store_url) == {
        "imported": 300,
        "quarantined": 0,
        "removed": 0,
        "unchanged": 0,
    }
    changing = OldSystem(old, seed=3)
    for _ in range(400):
        changing.change()
    before = content(old)
    follow(source, store_url)
    check_equal(old, store_url)
    check_once(store_url)
    assert follow(source, store_url) == dict.fromkeys(
        ("imported", "quarantined", "removed", "unchanged"), 0
    )
    assert content(old) == before


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


def test_following_keeps_up_with_an_old_system_at_work_and_says_its_lag(
    old: Database[Document], source: str, store_url: str, tmp_path: Path
) -> None:
    said = tmp_path / "said.txt"
    with said.open("w") as heard:
        process = subprocess.Popen(
            [COMMAND, "migrate", "follow", "--source", source],
            env=environment(store_url),
            stderr=heard,
        )
        try:
            with at_work(OldSystem(old, seed=5)):
                until(lambda: "lag" in said.read_text())
            last = record(Random(6))
            old["ticket_1"].insert_one(last)
            until(lambda: str(last["_id"]) in histories(store_url))
            check_equal(old, store_url)
            check_once(store_url)
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(30)
    assert code == 130
    assert "run the same command again" in said.read_text()


def test_nothing_is_missed_or_doubled_when_following_is_killed_thirty_times(
    old: Database[Document], source: str, store_url: str, tmp_path: Path
) -> None:
    command = Command(["migrate", "follow", "--source", source], environment(store_url), tmp_path)
    with at_work(OldSystem(old, seed=7)):
        command.kill_times(30, within=0.7, seed=8)
    follow(source, store_url)
    check_equal(old, store_url)
    check_once(store_url)


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


def test_a_folder_of_dumps_can_not_be_followed(store_url: str, tmp_path: Path) -> None:
    code, _, err = run("migrate", "follow", "--source", str(tmp_path), store=store_url)
    assert code == 4
    assert "folder of dumps" in err


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
