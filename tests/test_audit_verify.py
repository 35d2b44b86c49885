"""Whatever somebody with access to the store changes shows, and where it begins."""

import json
import sqlite3
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from bson import ObjectId
from pymongo.database import Database

from api.composition import Service, open_service
from api.evidence.heads import head_text, read_head, signed_head
from domain.chain import EMPTY, Head, next_hash
from domain.errors import ChainBroken, ConfigurationError
from infrastructure.mongodb.client import Document
from infrastructure.settings import load_settings
from infrastructure.signing_key import read_public_key, signing_key_of
from projections.chain_check import check_chain
from projections.verification import verify
from tests.stories import create, id_, rename
from tests.test_command_line import run

SECRET: Final = "long enough for a test: 0123456789abcdef"
TICKETS: Final = 20


def silent(position: int, end: int) -> None: ...


@pytest.fixture
def service(store_url: str) -> Iterator[Service]:
    """Forty events of twenty tickets, all in the audit log."""
    environment = {"TICKETBOOK_STORE": store_url, "TICKETBOOK_AUTH_SECRET": SECRET}
    with open_service(load_settings(environment)) as opened:
        for number in range(1, TICKETS + 1):
            opened.writer.execute(create(id_(number)), rename("Chief", id_(number)))
        assert opened.projections["audit"].live.progress.wait(2 * TICKETS, 10)
        yield opened


def broken_at(service: Service, *signed: Head) -> int:
    with pytest.raises(ChainBroken) as broken:
        check_chain(service.log, signed, silent)
    return broken.value.position


SQL: Final = {
    "a byte": (
        "UPDATE events SET state = CAST(replace(state, 'ada', 'eve') AS BLOB) WHERE position = 17",
        17,
    ),
    "the kind": ("UPDATE events SET topic = 'ticket.retired' WHERE position = 17", 17),
    "the ticket": ("UPDATE events SET originator_id = '00' WHERE position = 17", 17),
    "the version": ("UPDATE events SET originator_version = 9 WHERE position = 17", 17),
    "the hash": ("UPDATE events SET hash = zeroblob(32) WHERE position = 17", 17),
    "the type of the bytes": (
        "UPDATE events SET state = CAST(state AS TEXT) WHERE position = 17",
        17,
    ),
    "the type of the ticket": (
        "UPDATE events SET originator_id = CAST(originator_id AS BLOB) WHERE position = 17",
        17,
    ),
    "removed": ("DELETE FROM events WHERE position = 17", 17),
    "the end removed": ("DELETE FROM events WHERE position > 30", 31),
    "one before all": (
        "INSERT INTO events SELECT -1, '00', 1, topic, state, hash FROM events WHERE position = 1",
        1,
    ),
    "swapped": (
        "UPDATE events SET position = -position WHERE position IN (17, 19);"
        "UPDATE events SET position = 36 + position WHERE position < 0",
        17,
    ),
}


@pytest.mark.parametrize("attack", SQL)
@pytest.mark.parametrize("store", ["sqlite"])
def test_a_change_to_the_log_on_sqlite_is_found(
    service: Service, store_url: str, attack: str
) -> None:
    script, position = SQL[attack]
    assert check_chain(service.log, [], silent) == service.log.ending()
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        connection.executescript(script)
        connection.commit()
    assert broken_at(service) == position


def change(**values: Any) -> Callable[[Database[Document]], object]:
    """Change fields of the event at position 17, which is the first of its commit."""
    fields = {f"events.0.{name}": value for name, value in values.items()}
    return lambda database: database["commits"].update_one({"_id": 17}, {"$set": fields})


def swap(database: Database[Document]) -> None:
    one, other = (database["commits"].find_one({"_id": position}) for position in (17, 19))
    assert one and other
    database["commits"].delete_many({"_id": {"$in": [17, 19]}})
    for commit, position in ((one, 19), (other, 17)):
        moved = [event | {"position": position + n} for n, event in enumerate(commit["events"])]
        changed = {"_id": position, "last": position + 1, "events": moved}
        database["commits"].insert_one(commit | changed)


MONGO: Final[dict[str, tuple[Callable[[Database[Document]], object], int]]] = {
    "a byte": (change(state=b"{}"), 17),
    "the kind": (change(topic="ticket.retired"), 17),
    "the ticket": (change(id=id_(99)), 17),
    "the type of the ticket": (change(id=ObjectId(id_(9))), 17),
    "the version": (change(version=9), 17),
    "the type of the version": (change(version="1"), 17),
    "the position": (change(position=18), 17),
    "the hash": (change(hash=bytes(32)), 17),
    "a field removed": (
        lambda d: d["commits"].update_one({"_id": 17}, {"$unset": {"events.1.state": 1}}),
        18,
    ),
    "an event removed": (
        lambda d: d["commits"].update_one({"_id": 17}, {"$pop": {"events": 1}}),
        18,
    ),
    "an event doubled": (
        lambda d: d["commits"].update_one(
            {"_id": 17},
            {"$push": {"events": {"position": 18, "id": id_(9), "version": 3, "topic": "t"}}},
        ),
        19,
    ),
    "a commit removed": (lambda d: d["commits"].delete_one({"_id": 17}), 17),
    "a commit emptied": (
        lambda d: d["commits"].update_one({"_id": 17}, {"$set": {"events": []}}),
        17,
    ),
    "a commit that says it ends elsewhere": (
        lambda d: d["commits"].update_one({"_id": 17}, {"$set": {"last": 19}}),
        19,
    ),
    "events where no position is": (
        lambda d: d["commits"].insert_one({"_id": "x", "events": [{"id": id_(9), "version": 9}]}),
        0,
    ),
    "commits swapped": (swap, 17),
}


@pytest.mark.parametrize("attack", MONGO)
@pytest.mark.parametrize("store", ["mongodb"])
def test_a_change_to_the_log_on_mongodb_is_found(
    service: Service, mongodb_database: Database[Document], attack: str
) -> None:
    act, position = MONGO[attack]
    assert check_chain(service.log, [], silent) == service.log.ending()
    act(mongodb_database)
    assert broken_at(service) == position


@pytest.mark.parametrize("store", ["sqlite"])
def test_who_computes_all_hashes_again_is_found_by_a_head_that_was_kept(
    service: Service, store_url: str
) -> None:
    kept = service.log.ending()
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE events SET topic = 'ticket.retired' WHERE position = 17")
        last = EMPTY.hash
        columns = "position, originator_id, originator_version, topic, state"
        for row in connection.execute(f"SELECT {columns} FROM events ORDER BY 1").fetchall():
            last = next_hash(last, *row)
            connection.execute("UPDATE events SET hash = ? WHERE position = ?", (last, row[0]))
        connection.commit()

    assert check_chain(service.log, [], silent).position == kept.position
    assert broken_at(service, kept) == kept.position


def test_a_head_beyond_the_end_shows_that_the_end_is_gone(service: Service) -> None:
    ending = service.log.ending()
    assert check_chain(service.log, [ending, EMPTY], silent) == ending
    assert broken_at(service, Head(ending.position + 3, ending.hash)) == ending.position + 1
    assert broken_at(service, Head(ending.position, bytes(32))) == ending.position
    assert broken_at(service, Head(0, ending.hash)) == 0


def test_every_part_of_an_audit_entry_is_compared(service: Service, store_url: str) -> None:
    live = service.projections["audit"].live
    number = service.projections["audit"].versions.registry().live
    if store_url.startswith("sqlite"):
        with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
            table = f"audit_{number}"
            connection.execute(f"UPDATE {table} SET actor = 'eve' WHERE position = 5")
            connection.execute(f"UPDATE {table} SET hash = zeroblob(32) WHERE position = 6")
            connection.execute(f"DELETE FROM {table} WHERE position = 7")
            connection.commit()
    else:
        rows = service.projections["audit"].versions.view(number)._rows
        rows.update_one({"_id": 5}, {"$set": {"actor": "eve"}})
        rows.update_one({"_id": 6}, {"$set": {"hash": bytes(32)}})
        rows.delete_one({"_id": 7})
    found = {(one.key, one.kind) for one in verify(live.projected).differences}
    assert found == {(5, "changed"), (6, "changed"), (7, "missing")}


@pytest.mark.parametrize("store", ["sqlite"])
def test_an_operator_signs_keeps_and_verifies(
    service: Service, store_url: str, tmp_path: Path
) -> None:
    head, public = tmp_path / "head.json", tmp_path / "ticketbook.pub"
    code, out, _ = run("audit", "head", "--json", store=store_url)
    head.write_text(out)
    assert (code, json.loads(out)["position"]) == (0, 2 * TICKETS)
    public.write_text(run("audit", "key", store=store_url)[1])
    asked = ("audit", "verify", "--head", str(head), "--key", str(public))
    code, out, err = run(*asked, store=store_url)
    assert (code, out) == (0, f"position 40 hash {json.loads(head.read_text())['hash']}\n")
    assert "40 audit entries" in err

    head.write_text(head.read_text().replace('"position": 40', '"position": 39'))
    code, _, err = run(*asked, store=store_url)
    assert (code, "no head that was signed with this key" in err) == (3, True)

    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE events SET state = '{}' WHERE position = 11")
        connection.commit()
    code, _, err = run("audit", "verify", store=store_url)
    assert (code, "Position 11:" in err) == (1, True)


def test_openssl_agrees_with_the_signature(tmp_path: Path) -> None:
    """Anybody can check a head: the text and the key are plain."""
    store = f"sqlite:///{tmp_path}/store.db"
    key = signing_key_of(load_settings({"TICKETBOOK_STORE": store}))
    text = head_text(3, "ab" * 32, "2025-10-28T09:30:00.123Z")
    (tmp_path / "text").write_text(text)
    (tmp_path / "signature").write_bytes(b64decode(key.sign(text)))
    (tmp_path / "key.pub").write_text(key.public.pem)
    checking = "openssl pkeyutl -verify -pubin -inkey key.pub -rawin -in text -sigfile signature"
    done = subprocess.run(checking.split(), cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "Signature Verified Successfully\n")
    assert read_public_key(tmp_path / "key.pub").signed(text, key.sign(text))
    assert not key.public.signed(text + " ", key.sign(text))


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = load_settings({"TICKETBOOK_STORE": f"sqlite:///{tmp_path}/store.db"})
    first, again = signing_key_of(settings), signing_key_of(settings)
    assert first.public.pem == again.public.pem
    made = tmp_path / "store.db.signing.pem"
    assert made.stat().st_mode & 0o777 == 0o600
    made.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        signing_key_of(settings)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (None, "Set TICKETBOOK_SIGNING_KEY"),
        ("gone.pem", "can not be read"),
        ("public.pem", "does not hold an Ed25519 private key"),
    ],
)
def test_without_a_usable_key_it_is_said_what_to_do(
    tmp_path: Path, key: str | None, said: str
) -> None:
    sqlite = load_settings({"TICKETBOOK_STORE": f"sqlite:///{tmp_path}/store.db"})
    (tmp_path / "public.pem").write_text(signing_key_of(sqlite).public.pem)
    environment = {"TICKETBOOK_STORE": "mongodb://db/tickets", "TICKETBOOK_AUTH_SECRET": SECRET}
    if key:
        environment["TICKETBOOK_SIGNING_KEY"] = str(tmp_path / key)
    with pytest.raises(ConfigurationError, match=said) as refused:
        signing_key_of(load_settings(environment))
    assert "openssl genpkey" in str(refused.value)
    with pytest.raises(ConfigurationError, match="ticketbook audit key"):
        read_public_key(tmp_path / "store.db.signing.pem")


@pytest.mark.parametrize("store", ["sqlite"])
def test_a_head_signed_by_another_key_is_none(service: Service, tmp_path: Path) -> None:
    other = signing_key_of(load_settings({"TICKETBOOK_STORE": f"sqlite:///{tmp_path}/other.db"}))
    mine = signing_key_of(service.settings)
    file = tmp_path / "head.json"
    file.write_text(json.dumps(signed_head(service.log.ending(), service.clock(), mine)))
    assert read_head(file, mine.public) == service.log.ending()
    with pytest.raises(ConfigurationError, match="public key of that time") as refused:
        read_head(file, other.public)
    assert f"it names {mine.public.name}, this is {other.public.name}" in str(refused.value)


def test_events_are_found_by_their_positions_alone(service: Service) -> None:
    asked = [1, 2, 17, 18, 19, 39, 40, 41, 99]
    assert list(service.log.at(asked)) == [1, 2, 17, 18, 19, 39, 40]
    assert service.log.at(asked) == {
        position: stored
        for position, stored in service.log.stretch(0, 40).items()
        if position in asked
    }
    assert service.log.at([]) == {}
