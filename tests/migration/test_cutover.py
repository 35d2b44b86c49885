"""The way back to the old system, and the end of its collection, as an operator goes there."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from api.composition import open_service
from domain.origin import Origin, milliseconds
from domain.ticket.commands import CreateTicket, RetireTicket
from infrastructure.clock import now
from infrastructure.configuration.settings import load_settings
from infrastructure.mongodb.client import Document, database
from tests.support.command import COMMAND
from tests.support.command import run as run_anywhere
from tests.support.following import prove
from tests.support.old_system import content, fill, record
from tests.support.server import SECRET, environment, new_id

ON_SQLITE = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
"""For tests of what does not depend on the store."""


@pytest.fixture
def old(mongodb_client: MongoClient[Document]) -> Iterator[Database[Document]]:
    """The old system's database, with 50 records."""
    name = f"old_{ObjectId()}"
    opened = database(mongodb_client, name)
    fill(opened, 50)
    opened["ticket_1"].create_index("orgId")
    yield opened
    mongodb_client.drop_database(name)


@pytest.fixture
def source(mongodb_uri: str, old: Database[Document]) -> str:
    return urlsplit(mongodb_uri)._replace(path=f"/{old.name}").geturl()


@pytest.fixture
def taken_over(old: Database[Document], source: str, store_url: str, tmp_path: Path) -> str:
    """The store, once everything was backed up, taken over and verified."""
    code, _, err = run("migrate", "follow", "--source", source, "--until-idle", store=store_url)
    assert code == 0, err
    prove(old, source, store_url, tmp_path / "backup")
    return store_url


def run(*arguments: str, store: str) -> tuple[int, str, str]:
    return run_anywhere(*arguments, store=store, TICKETBOOK_AUTH_SECRET=SECRET)


def change_here(store_url: str, ticket_id: str | None) -> None:
    """Ada retires that ticket, or makes a new one."""
    with open_service(load_settings(environment(store_url)), run_projections=False) as service:
        origin = Origin("ada", "a mistake", "request-1", None, milliseconds(now()))
        if ticket_id:
            service.writer.execute(RetireTicket(ticket_id, origin, None, None))
        else:
            service.writer.execute(
                CreateTicket(new_id(), origin, new_id(), "workforce_2", "New", ())
            )


def test_the_collection_is_removed_and_comes_back_to_the_byte(
    old: Database[Document], source: str, taken_over: str
) -> None:
    before = content(old)
    code, out, err = run(
        *("migrate", "retire", "--source", source, "--yes-remove", "ticket_1", "--json"),
        store=taken_over,
    )
    assert code == 0, err
    assert "Removed ticket_1 with 50 records" in err
    assert json.loads(out)["records"] == 50
    assert old.list_collection_names() == []
    code, _, err = run("migrate", "retire", "--source", source, store=taken_over)
    assert (code, "ticket_1 is gone already" in err) == (0, True)

    code, out, err = run("migrate", "rollback", "--source", source, "--json", store=taken_over)
    assert code == 0, err
    assert json.loads(out)["putBack"] is True
    assert content(old) == before
    done = json.loads(run("audit", "reads", "--json", store=taken_over)[1])
    recorded = [one["action"] for one in done if one["action"].startswith("migration.")]
    assert sorted(recorded) == ["migration.retired", "migration.rolled_back"]
    assert "orgId_1" in old["ticket_1"].index_information()


@ON_SQLITE
def test_what_was_rolled_back_must_be_verified_again_before_it_is_removed(
    source: str, taken_over: str
) -> None:
    code, _, err = run("migrate", "rollback", "--source", source, store=taken_over)
    assert code == 0
    assert "ticket_1 is as it was" in err
    code, _, err = run(
        *("migrate", "retire", "--source", source, "--yes-remove", "ticket_1"), store=taken_over
    )
    assert code == 1
    assert "was not verified" in err


@pytest.mark.parametrize("what", ["an imported ticket", "a new ticket"])
def test_after_the_first_change_here_there_is_no_way_back(
    what: str, old: Database[Document], source: str, taken_over: str
) -> None:
    first = old["ticket_1"].find_one() or {}
    ticket_id = str(first["_id"]) if what == "an imported ticket" else None
    change_here(taken_over, ticket_id)
    old["ticket_1"].delete_one({})
    before = content(old)
    code, _, err = run("migrate", "rollback", "--source", source, store=taken_over)
    assert code == 1
    assert "too late" in err and "ada made ticket." in err
    assert ticket_id is None or ticket_id in err
    assert content(old) == before


@ON_SQLITE
def test_what_changed_here_before_the_tickets_came_is_no_obstacle(
    old: Database[Document], source: str, store_url: str, tmp_path: Path
) -> None:
    change_here(store_url, None)
    assert run("migrate", "follow", "--source", source, "--until-idle", store=store_url)[0] == 0
    prove(old, source, store_url, tmp_path / "backup")
    assert run("migrate", "rollback", "--source", source, store=store_url)[0] == 0


@ON_SQLITE
def test_what_stands_there_instead_is_kept(
    old: Database[Document], source: str, taken_over: str
) -> None:
    before = content(old)
    old["ticket_1"].update_many({}, {"$set": {"name": "scribbled over"}})
    scribbled = content(old)
    code, _, err = run("migrate", "rollback", "--source", source, "--dry-run", store=taken_over)
    assert (code, content(old)) == (0, scribbled)
    assert "Would put 50 records back" in err
    assert "holds 50 records, which are not those of the backup" in err
    assert "would be kept as ticket_1_replaced_" in err

    rollback = ("migrate", "rollback", "--source", source)
    for options in ((), ("--yes-replace", "users")):
        code, _, err = run(*rollback, *options, store=taken_over)
        assert (code, content(old)) == (2, scribbled)
        assert "nothing was replaced" in err
    code, _, err = run(*rollback, "--yes-replace", "ticket_1", store=taken_over)
    assert code == 0, err
    kept = next(name for name in old.list_collection_names() if name != "ticket_1")
    assert f"kept as {kept}" in err
    assert (content(old), content(old, kept)) == (before, scribbled)


@ON_SQLITE
def test_nothing_is_removed_that_was_not_verified_as_it_stands(
    old: Database[Document], source: str, taken_over: str
) -> None:
    old["ticket_1"].insert_one(record(Random(9)))
    before = content(old)
    code, _, err = run(
        *("migrate", "retire", "--source", source, "--yes-remove", "ticket_1"), store=taken_over
    )
    assert code == 4
    assert "51 records" in err
    assert content(old) == before


@ON_SQLITE
def test_nothing_is_removed_whose_setup_changed_since_the_backup(
    old: Database[Document], source: str, taken_over: str
) -> None:
    old["ticket_1"].create_index("name")
    code, _, err = run(
        *("migrate", "retire", "--source", source, "--yes-remove", "ticket_1"), store=taken_over
    )
    assert (code, old.list_collection_names()) == (1, ["ticket_1"])
    assert "indexes of ticket_1 were changed since it was backed up" in err


@ON_SQLITE
def test_nothing_is_removed_or_put_back_without_a_backup(
    old: Database[Document], source: str, store_url: str
) -> None:
    before = content(old)
    assert run("migrate", "follow", "--source", source, "--until-idle", store=store_url)[0] == 0
    for command in (("retire", "--yes-remove", "ticket_1"), ("rollback",)):
        code, _, err = run("migrate", *command, "--source", source, store=store_url)
        assert code == 1
        assert "There is no backup" in err and "migrate backup" in err
    assert content(old) == before


@ON_SQLITE
def test_nothing_is_removed_or_put_back_when_the_backup_is_damaged(
    old: Database[Document], source: str, taken_over: str, tmp_path: Path
) -> None:
    dump = tmp_path / "backup" / "ticket_1.bson"
    whole = dump.read_bytes()
    dump.write_bytes(whole.replace(b"Crew", b"Crow", 1))
    for command in (("retire", "--yes-remove", "ticket_1"), ("rollback",)):
        code, _, err = run("migrate", *command, "--source", source, store=taken_over)
        assert code == 1
        assert "does not hold what was backed up" in err
    assert content(old) == whole


@ON_SQLITE
@pytest.mark.parametrize("typed", ["users", "ticket_1\n", ""])
def test_the_name_of_the_collection_must_be_typed(
    typed: str, old: Database[Document], source: str, taken_over: str
) -> None:
    code, err = asked(typed, source, taken_over)
    if typed == "ticket_1\n":
        assert code == 0, err
        assert old.list_collection_names() == []
    else:
        assert code == 2
        assert "nothing was removed" in err and "Aborted" not in err
        assert typed or "say --yes-remove NAME" in " ".join(err.replace("│", "").split())
        assert content(old)


@ON_SQLITE
def test_an_interrupted_question_is_a_no_and_says_so(
    old: Database[Document], source: str, taken_over: str
) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TICKETBOOK_")}
    asking = subprocess.Popen(
        [COMMAND, "migrate", "retire", "--source", source],
        env=kept | environment(taken_over),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert asking.stderr
    asked = b""
    while b"Type the collection's name" not in asked:
        asked += (read := os.read(asking.stderr.fileno(), 1_000))
        assert read, asked
    asking.send_signal(signal.SIGINT)
    _, err = asking.communicate(timeout=30)
    assert (asking.returncode, err.strip().splitlines()[-1]) == (130, b"Interrupted.")
    assert old.list_collection_names() == ["ticket_1"]


@ON_SQLITE
def test_a_wrong_name_given_ahead_removes_nothing(
    old: Database[Document], source: str, taken_over: str
) -> None:
    code, _, err = run(
        *("migrate", "retire", "--source", source, "--yes-remove", "users"), store=taken_over
    )
    assert code == 2
    assert "nothing was removed" in err
    assert old.list_collection_names() == ["ticket_1"]


@ON_SQLITE
def test_a_dry_run_removes_nothing(old: Database[Document], source: str, taken_over: str) -> None:
    code, _, err = run("migrate", "retire", "--source", source, "--dry-run", store=taken_over)
    assert code == 0
    assert "Would remove ticket_1 with 50 records" in err
    assert old.list_collection_names() == ["ticket_1"]


def asked(typed: str, source: str, store_url: str) -> tuple[int, str]:
    """Exit code and stderr when this is typed at the question."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TICKETBOOK_")}
    done = subprocess.run(
        [COMMAND, "migrate", "retire", "--source", source],
        env=kept | environment(store_url),
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


@ON_SQLITE
def test_what_was_put_back_can_be_followed_again(
    old: Database[Document], source: str, taken_over: str
) -> None:
    old["ticket_1"].update_many({}, {"$set": {"name": "scribbled over"}})
    follow = ("migrate", "follow", "--source", source, "--until-idle", "--json")
    assert json.loads(run(*follow, store=taken_over)[1])["imported"] == 50
    rollback = ("migrate", "rollback", "--source", source, "--yes-replace", "ticket_1")
    assert run(*rollback, store=taken_over)[0] == 0
    code, out, err = run(*follow, store=taken_over)
    assert code == 0, err
    assert json.loads(out)["imported"] == 50
