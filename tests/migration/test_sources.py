"""Two old systems in one store: what is not in one of them is not gone from the other."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from domain.ticket.state import fold
from infrastructure.mongodb.client import Document
from tests.support.following import follow, histories
from tests.support.migrating import migrate, migrated
from tests.support.old_system import old_database, record

Old = tuple[Database[Document], str]


@pytest.fixture
def one(mongodb_client: MongoClient[Document], mongodb_uri: str) -> Iterator[Old]:
    with old_database(mongodb_client, mongodb_uri, 20) as opened:
        yield opened


@pytest.fixture
def other(mongodb_client: MongoClient[Document], mongodb_uri: str) -> Iterator[Old]:
    with old_database(mongodb_client, mongodb_uri, 5) as opened:
        yield opened


@pytest.fixture
def target(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/new.db"


def in_use(store: str) -> int:
    tickets = [fold(history) for history in histories(store).values()]
    return sum(ticket is not None and not ticket.retired for ticket in tickets)


def test_what_is_missing_from_a_source_named_by_mistake_is_not_gone(
    one: Old, other: Old, target: str
) -> None:
    right, wrong = one[1], other[1]
    follow(right, target)
    code, _, err = migrate("follow", "--source", wrong, "--until-idle", store=target)
    assert (code, in_use(target)) == (0, 25)
    assert f"taken over from {right.split('//')[1].split('?')[0]} too" in err
    assert "say --gone" in err

    one[0]["ticket_1"].delete_one({})
    run = ("run", "--source", right, "--no-backup")
    assert migrated(*run, store=target)["removed"] == 0
    assert in_use(target) == 25
    plan = ("plan", "--source", right)
    assert migrated(*plan, store=target)["removed"] == 0
    assert migrated(*plan, "--gone", store=target)["removed"] == 6
    assert migrated(*run, "--gone", store=target)["removed"] == 6
    assert in_use(target) == 19
    assert migrated(*plan, "--gone", store=target)["removed"] == 0


def test_each_system_has_its_own_source_and_its_own_records_that_are_gone(
    one: Old, other: Old, target: str
) -> None:
    misfiled = record(Random(1), _id="by hand")
    other[0]["ticket_1"].insert_one(misfiled)
    workforce = ("--source", other[1], "--system", "workforce_2")
    migrated("run", "--source", one[1], "--no-backup", store=target)
    migrated("run", *workforce, "--no-backup", store=target)
    other[0]["ticket_1"].delete_one({"_id": {"$ne": "by hand"}})
    one[0]["ticket_1"].delete_one({})
    for source in (("--source", one[1]), workforce):
        assert migrated("plan", *source, store=target)["removed"] == 1
        assert migrated("run", *source, "--no-backup", store=target)["removed"] == 1
        code, out, err = migrate("verify", *source, store=target)
        assert code == 0, out + err
    assert in_use(target) == 23
    assert [kept["id"] for kept in migrated("quarantine", "list", store=target)] == ["by hand"]
