"""Following the old system through kills of the command and faults of the old system."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from infrastructure.mongodb.client import Document, connect, database
from tests.support.following import (
    check_equal,
    check_once,
    follow,
    following,
    histories,
    prove,
    run,
)
from tests.support.killing import Command
from tests.support.mongod import ReplicaSet, Standalone
from tests.support.old_system import OldSystem, at_work, content, fill, old_database, record
from tests.support.server import environment, until

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


def test_following_goes_on_through_changes_of_the_old_system_s_primary(tmp_path: Path) -> None:
    store_url = f"sqlite:///{tmp_path}/store.db"
    with closing(ReplicaSet(tmp_path / "members")) as replica_set:
        source = replica_set.uri.replace("/?", "/old?")
        with connect(source) as client:
            old = database(client, "old")
            fill(old, 300)
            with following(source, store_url, tmp_path / "said.txt"):
                with at_work(OldSystem(old, seed=9)):
                    until(lambda: len(histories(store_url)) >= 300)
                    replica_set.step_down()
                    replica_set.step_down()
                last = record(Random(10))
                old["ticket_1"].insert_one(last)
                until(lambda: str(last["_id"]) in histories(store_url), seconds=60)
            check_equal(old, store_url)
            check_once(store_url)


def test_an_old_system_that_is_no_replica_set_can_not_be_followed(tmp_path: Path) -> None:
    with closing(Standalone(tmp_path / "alone")) as alone:
        with connect(alone.uri) as client:
            client["old"]["ticket_1"].insert_one(record(Random(1)))
        code, _, err = run(
            *("migrate", "follow", "--source", alone.uri + "old"),
            store=f"sqlite:///{tmp_path}/store.db",
        )
    assert code == 4
    assert "not a replica set" in err and "migrate run" in err


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.exhaustive)])
def test_nothing_is_missed_or_doubled_when_a_run_and_then_following_are_killed(
    kills: int, old: Database[Document], source: str, store_url: str, tmp_path: Path
) -> None:
    """`test_every_write` kills both at every write; here nothing is chosen."""
    fill(old, 40 * kills, seed=11)
    settings = environment(store_url)
    running = Command(["migrate", "run", "--source", source, "--no-backup"], settings, tmp_path)
    following = Command(["migrate", "follow", "--source", source], settings, tmp_path)
    with at_work(OldSystem(old, seed=12)):
        running.kill_times(kills, within=0.7, seed=13)
        following.kill_times(kills, within=0.7, seed=14)
    before = content(old)
    running.finish()
    follow(source, store_url)
    check_equal(old, store_url)
    check_once(store_url)
    assert content(old) == before
    code, out, err = run("migrate", "verify", "--source", source, store=store_url)
    assert (code, out) == (0, ""), err


@pytest.mark.parametrize("rounds", [1, pytest.param(3, marks=pytest.mark.exhaustive)])
def test_nothing_is_lost_when_adopting_and_going_back_are_killed(
    rounds: int, mongodb_database: Database[Document], mongodb_url: str, tmp_path: Path
) -> None:
    """`test_every_write` kills both at every write; here nothing is chosen."""
    random, settings, count = Random(15), environment(mongodb_url), 700 * rounds
    documents = [record(random, system="workforce_2") for _ in range(count)]
    mongodb_database["tickets"].insert_many(documents)
    before = content(mongodb_database, "tickets")
    adopting = Command(["migrate", "adopt"], settings, tmp_path)
    going_back = Command(["migrate", "adopt", "rollback"], settings, tmp_path)
    for seed in range(rounds):
        adopting.kill_times(3 * (seed + 1), within=0.6, seed=seed)
        adopting.finish()
        assert mongodb_database["tickets"].count_documents({}) == count
        going_back.kill_after(random.random() * 0.3)
        if "tickets_adopted" in " ".join(mongodb_database.list_collection_names()):
            going_back.finish()
        assert content(mongodb_database, "tickets") == before
    check_once(mongodb_url)


@pytest.mark.parametrize("rounds", [2, pytest.param(8, marks=pytest.mark.exhaustive)])
def test_nothing_is_lost_when_removing_and_putting_back_are_killed(
    rounds: int, old: Database[Document], source: str, tmp_path: Path
) -> None:
    """`test_every_write` kills both at every write; here nothing is chosen."""
    fill(old, 250 * rounds, seed=16)
    store_url = f"sqlite:///{tmp_path}/store.db"
    follow(source, store_url)
    random, before = Random(17), content(old)
    removing = Command(
        ["migrate", "retire", "--source", source, "--yes-remove", "ticket_1"],
        environment(store_url),
        tmp_path,
    )
    putting_back = Command(
        ["migrate", "rollback", "--source", source], environment(store_url), tmp_path
    )
    prove(old, source, store_url, tmp_path)
    for _ in range(rounds):
        removing.kill_after(random.random() * 0.4)
        putting_back.kill_after(random.random() * 0.4)
        putting_back.finish()
        assert content(old) == before
        assert old.list_collection_names() == ["ticket_1"]
        prove(old, source, store_url, tmp_path)
