"""Planning a migration and running it, on the sample of an old system's data."""

import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import bson
import pytest
from bson import ObjectId, json_util
from pymongo import MongoClient
from pymongo.database import Database

from api.composition import open_stores
from domain.ticket.events import LegacyRecordQuarantined, Recorded, TicketImported
from domain.ticket.state import fold
from infrastructure.configuration.settings import load_settings
from infrastructure.log.ticket_log import TicketLog
from infrastructure.mongodb.client import Document
from tests.support.databases import DatabasePool
from tests.support.half_way import half_way
from tests.support.migrating import (
    DIRTY,
    DUMPS,
    as_json_lines,
    back_up,
    migrate,
    migrated,
    old_database,
    sample,
)
from tests.support.old_system import content
from tests.support.server import environment

SYSTEM = "revolution_counter_1"
PLANNED = {
    "records": 1200,
    "clean": 1152,
    "repaired": 42,
    "quarantined": 6,
    "already": 0,
    "removed": 0,
    "repairs": {
        "features were missing: none": 6,
        "orgId was text": 6,
        "a feature was listed more than once": 6,
        "left out: color, notes": 6,
        "createdAt was missing: from _id": 6,
        "updatedAt was missing: createdAt": 6,
    },
    "reasons": {"it has no usable name": 6},
}


@pytest.fixture
def old(
    mongodb_client: MongoClient[Document], mongodb_uri: str
) -> Iterator[tuple[Database[Document], str]]:
    with old_database(mongodb_client, mongodb_uri) as opened:
        yield opened


@pytest.fixture
def target(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/new.db"


@pytest.fixture
def fresh_mongodb_url(databases: DatabasePool, fresh_mongodb_database: Database[Document]) -> str:
    return databases.url(fresh_mongodb_database)


@pytest.fixture
def no_store(store: str, target: str, request: pytest.FixtureRequest) -> str:
    """Where there is no store yet, of either kind."""
    if store == "sqlite":
        return target
    url: str = request.getfixturevalue("fresh_mongodb_url")
    return url


def run(source: str, store: str, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = migrated("run", "--source", source, *options, store=store)
    return found


def histories(store: str) -> dict[str, list[Recorded]]:
    with open_stores(load_settings(environment(store))) as stores:
        log, found = TicketLog(stores.log), dict[str, list[Recorded]]()
        for recorded in log.read(0, 100_000):
            found.setdefault(recorded.ticket_id, []).append(recorded)
    return found


def check_taken_over(store: str, json_lines: bool = False) -> None:
    """Every record of the sample has one event, which says what its kind of dirt calls for."""
    kinds = {name: kind for kind, names in DIRTY.items() for name in names}
    found = histories(store)
    records = {str(record["_id"]): record for record in sample("ticket_1")}
    assert found.keys() == records.keys()
    expected = digests()
    for name, record in records.items():
        (recorded,) = found[name]
        if not json_lines:
            assert recorded.event.source.digest == expected[name]  # type: ignore[union-attr]
        check(recorded.event, record, kinds.get(name))


def digests() -> dict[str, str]:
    raw = bson.decode_iter(
        (DUMPS / "ticket_1.bson").read_bytes(),
        bson.codec_options.CodecOptions(document_class=bson.raw_bson.RawBSONDocument),
    )
    return {str(record["_id"]): sha256(record.raw).hexdigest() for record in raw}


def check(event: Any, record: Document, kind: str | None) -> None:
    if kind == "no name":
        assert isinstance(event, LegacyRecordQuarantined)
        assert event.reason == "it has no usable name"
        assert json_util.loads(event.record) == json_util.loads(json_util.dumps(record))
        return
    assert isinstance(event, TicketImported)
    listed = list(dict.fromkeys(record.get("features", [])))
    unknown = kind in ("feature is source code", "feature no system knows")
    assert list(event.features) == (listed[:-1] if unknown else listed)
    assert list(event.unknown_features) == (listed[-1:] if unknown else [])
    born = record["_id"].generation_time.replace(tzinfo=None)
    assert event.created_at.replace(tzinfo=None) == record.get("createdAt", born)
    assert event.updated_at.replace(tzinfo=None) == record.get("updatedAt", born)
    assert (event.name, event.org_id) == (record["name"], str(record["orgId"]))
    assert (event.system, event.source.revision) == (SYSTEM, record["__v"])
    expected = {
        "feature listed twice": ("a feature was listed more than once",),
        "no features": ("features were missing: none",),
        "no timestamps": ("createdAt was missing: from _id", "updatedAt was missing: createdAt"),
        "orgId as string": ("orgId was text",),
        "extra field": ("left out: color, notes",),
    }
    assert event.repairs == expected.get(kind or "", ())


@pytest.mark.parametrize("json_lines", [False, True], ids=["bson", "json"])
def test_every_kind_of_record_in_dumps_is_planned_and_taken_over(
    json_lines: bool, target: str, tmp_path: Path
) -> None:
    source = str(as_json_lines(tmp_path) if json_lines else DUMPS)
    planned = migrated("plan", "--source", source, store=target)
    assert not (tmp_path / "new.db").exists()
    assert {name: planned[name] for name in PLANNED} == PLANNED
    assert sum(planned["unknownFeatures"].values()) == 12
    assert planned["references"] == {
        "dangling-reference": len(DIRTY["user points at no ticket"]),
        "wrong-organisation": len(DIRTY["user and ticket of different organisations"]),
        "quarantined-reference": 18,
    }
    back_up(source, target, tmp_path / "kept")
    done = run(source, target)
    assert {name: done[name] for name in PLANNED} == PLANNED
    check_taken_over(target, json_lines)

    before = (tmp_path / "new.db").read_bytes()
    planned = migrated("plan", "--source", source, store=target)
    assert (tmp_path / "new.db").read_bytes() == before
    assert (planned["already"], planned["clean"]) == (1200, 0)
    assert planned["references"]["dangling-reference"] == 15
    again = run(source, target)
    assert (again["already"], again["position"]) == (1200, done["position"])
    assert done["lagEvents"] == {"tickets": done["position"], "audit": done["position"]}


def test_a_database_is_taken_over_and_only_read(
    old: tuple[Database[Document], str], fresh_mongodb_url: str, tmp_path: Path
) -> None:
    (database, source), mongodb_url = old, fresh_mongodb_url
    before = [content(database, name) for name in ("ticket_1", "users")]
    database.command("profile", 2)
    planned = migrated("plan", "--source", source, store=mongodb_url)
    assert {name: planned[name] for name in PLANNED} == PLANNED
    assert mongodb_url.split("/")[-1].split("?")[0] not in database.client.list_database_names()
    back_up(source, mongodb_url, tmp_path / "kept")
    run(source, mongodb_url)
    database.command("profile", 0)
    check_taken_over(mongodb_url)
    assert run(source, mongodb_url)["already"] == 1200
    asked = Counter(seen["op"] for seen in database["system.profile"].find({"appName": APP}))
    assert asked["query"] + asked["getmore"] > 0
    assert not asked.keys() & {"insert", "update", "remove"}
    commands = database["system.profile"].find({"appName": APP, "op": "command"})
    assert {next(iter(one["command"])) for one in commands} <= READING
    assert before == [content(database, name) for name in ("ticket_1", "users")]


APP = "ticketbook"
READING = {
    *("aggregate", "count", "getMore", "killCursors"),
    *("listCollections", "listIndexes", "hello"),
}


def test_a_run_refuses_without_a_backup_of_the_same_source(target: str, tmp_path: Path) -> None:
    back_up(str(DUMPS), target, tmp_path / "kept")
    other = str(as_json_lines(tmp_path))
    code, out, err = migrate("run", "--source", other, store=target)
    assert (code, out) == (1, "")
    assert "no backup" in err and "migrate backup" in err
    assert histories(target) == {}
    assert run(other, target, "--no-backup")["clean"] == 1152


def test_a_dry_run_writes_nothing(target: str, tmp_path: Path) -> None:
    back_up(str(DUMPS), target, tmp_path / "kept")
    code, _, err = migrate("run", "--source", str(DUMPS), "--dry-run", store=target)
    assert (code, histories(target)) == (0, {})
    assert "Would take over 1,200 records" in err


SOURCE = ("--source", str(DUMPS))


def test_what_only_looks_makes_no_store(
    no_store: str, mongodb_client: MongoClient[Document], tmp_path: Path
) -> None:
    for command, said in (
        (("backup", *SOURCE, "--to", f"{tmp_path}/kept", "--dry-run"), "Would dump 1,200"),
        (("run", *SOURCE, "--no-backup", "--dry-run"), "Would take over 1,200"),
    ):
        code, _, err = migrate(*command, store=no_store)
        assert (code, said in err) == (0, True), err
    code, _, err = migrate("run", *SOURCE, "--dry-run", store=no_store)
    assert (code, "There is no backup" in err) == (1, True)
    for look in (("verify", *SOURCE), ("quarantine", "list"), ("quarantine", "show", "1" * 24)):
        code, _, err = migrate(*look, store=no_store)
        assert (code, "There is no store" in err) == (3, True), err
    assert list(tmp_path.iterdir()) == []
    made = no_store.rpartition("/")[2].partition("?")[0]
    assert made not in mongodb_client.list_database_names()


def test_what_changed_in_the_source_since_is_taken_over_and_what_is_gone_is_noted(
    old: tuple[Database[Document], str], store_url: str
) -> None:
    database, source = old
    run(source, store_url, "--no-backup")
    changed, gone = list(database["ticket_1"].find({"name": {"$exists": True}}).limit(2))
    now = datetime.now(UTC)
    database["ticket_1"].update_one(
        {"_id": changed["_id"]}, {"$set": {"name": "Renamed", "updatedAt": now}}
    )
    database["ticket_1"].delete_one({"_id": gone["_id"]})
    database["ticket_1"].update_one({"name": {"$exists": False}}, {"$set": {"name": "Mended"}})
    done = run(source, store_url, "--no-backup")
    assert (done["clean"], done["already"], done["removed"]) == (2, 1197, 1)
    found = histories(store_url)
    ticket = fold(found[str(changed["_id"])])
    assert ticket and ticket.name == "Renamed"
    retired = fold(found[str(gone["_id"])])
    assert retired and retired.retired
    assert run(source, store_url, "--no-backup")["already"] == 1199


def test_records_that_can_not_be_told_apart_from_other_tickets_go_to_quarantine(
    old: tuple[Database[Document], str], target: str
) -> None:
    database, source = old
    run(source, target, "--no-backup")
    moved = database["ticket_1"].find_one_and_update(
        {"name": {"$exists": True}}, {"$set": {"orgId": ObjectId()}}
    )
    done = run(source, target, "--no-backup")
    assert done["quarantined"] == 1
    assert moved
    last = histories(target)[str(moved["_id"])][-1].event
    assert isinstance(last, LegacyRecordQuarantined)
    assert "belongs to another organisation" in last.reason
    assert run(source, target, "--no-backup")["already"] == 1200


def test_features_are_those_of_the_system_that_is_named_and_a_wrong_one_stays_unexplained(
    target: str,
) -> None:
    wrong = ("--source", str(DUMPS), "--system", "workforce_2", "--json")
    code, planned, err = migrate("plan", *wrong, store=target)
    assert code == 0
    assert "Warning: workforce_2 has only" in err and "--system revolution_counter_1 meant?" in err
    code, out, warned = migrate("run", *wrong, "--no-backup", store=target)
    assert "--system revolution_counter_1 meant?" in warned
    done = json.loads(out)
    assert done["unknownFeatures"] == json.loads(planned)["unknownFeatures"]
    assert done["unknownFeatures"]["create_yarn"] > 100
    (recorded,) = histories(target)[str(sample("ticket_1")[0]["_id"])]
    assert isinstance(recorded.event, TicketImported)
    assert recorded.event.system == "workforce_2"

    code, out, err = migrate("run", *wrong[:2], "--no-backup", "--json", store=target)
    assert (code, "Warning" in err) == (0, False)
    reasons = {"its id belongs to another organisation or system": 1194}
    assert json.loads(out)["reasons"] == reasons
    code, out, err = migrate("verify", *wrong[:2], "--json", store=target)
    told = [json.loads(line) for line in out.splitlines()]
    assert (code, told[-1]["unexplained"]) == (1, 1194)
    first = told[0]
    assert (first["kind"], first["field"], first["explained"]) == ("content", "system", None)
    assert (first["expected"], first["found"]) == (SYSTEM, "workforce_2")


def test_a_system_that_there_is_not_is_refused(target: str) -> None:
    code, _, err = migrate("plan", "--source", str(DUMPS), "--system", "workforce", store=target)
    assert code == 2
    assert "Did you mean 'workforce_2'?" in " ".join(err.split())


def test_a_record_that_no_document_of_mongodb_can_hold_is_told_and_kept_elsewhere(
    mongodb_url: str, target: str, tmp_path: Path
) -> None:
    records = [
        {"_id": ObjectId(), "name": "Foreman", "orgId": ObjectId(), "features": []},
        {"_id": (huge := ObjectId()), "features": [], "blob": Random(7).randbytes(15 * 2**20)},
    ]
    dump = b"".join(bson.encode(record) for record in records)
    (tmp_path / "ticket_1.bson").write_bytes(dump)
    code, _, err = migrate("run", "--source", str(tmp_path), "--no-backup", store=mongodb_url)
    assert code == 4
    assert f"The record {huge} is too large to be kept." in err
    assert "ends at 16 MB" in err and "into a SQLite store" in err
    done = run(str(tmp_path), target, "--no-backup")
    assert (done["records"], done["quarantined"]) == (2, 1)
    code, _, err = migrate("verify", "--source", str(tmp_path), store=target)
    assert code == 0, err
    assert "has no users: no references were looked at" in err


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_dump_cut_short_takes_nothing_over(command: str, target: str, tmp_path: Path) -> None:
    whole = (DUMPS / "ticket_1.bson").read_bytes()
    (tmp_path / "ticket_1.bson").write_bytes(whole[:-7])
    options = ["--no-backup"] if command == "run" else []
    code, _, err = migrate(command, "--source", str(tmp_path), *options, store=target)
    assert code == 4
    assert "cut short or damaged at byte" in err
    assert command == "plan" or histories(target) == {}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("mongodb://127.0.0.1:1/old", "does not answer"),
        ("nowhere", "is no folder"),
        ("", "it is empty"),
        ("mongodb://127.0.0.1:1/", "names no database"),
    ],
)
def test_a_source_that_is_not_there_is_told(source: str, said: str, target: str) -> None:
    code, _, err = migrate("plan", "--source", source, store=target)
    assert code == (2 if not source else 3 if source.endswith("/") else 4)
    assert said in err
    assert "Topology" not in err and len(err) < 250


@pytest.mark.parametrize("command", ["plan", "run"])
def test_what_are_no_tickets_at_all_is_not_taken_over(
    command: str, target: str, tmp_path: Path
) -> None:
    (tmp_path / "ticket_1.bson").write_bytes((DUMPS / "users.bson").read_bytes())
    options = ["--no-backup"] if command == "run" else []
    code, _, err = migrate(command, "--source", str(tmp_path), *options, store=target)
    assert code == 4
    assert "these are no tickets" in err
    if command == "run":
        assert histories(target) == {}
        code, out, err = migrate("verify", "--source", str(tmp_path), store=target)
        assert (code, out) == (4, "")
        assert "these are no tickets" in err


def test_a_database_without_tickets_is_told(mongodb_url: str, target: str) -> None:
    code, _, err = migrate("plan", "--source", mongodb_url, store=target)
    assert code == 4
    assert "nothing in the collection ticket_1" in err


def test_interrupting_says_how_to_go_on_and_going_on_completes_it(target: str) -> None:
    with half_way("migrate", "run", *SOURCE, "--no-backup", store=target) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr
        err = process.stderr.read()
    assert process.returncode == 130
    assert re.search(
        r"Interrupted after [\d,]+ of about 1,200 records.*same command again", err, re.DOTALL
    )
    done = run(str(DUMPS), target, "--no-backup")
    assert done["already"] > 0 and done["clean"] > 0
    assert done["records"] == 1_200 == done["position"]


def test_the_plan_is_a_table_for_people(target: str) -> None:
    code, out, _ = migrate("plan", "--source", str(DUMPS), store=target)
    assert code == 0
    assert re.search(r"^imported with repairs +42$", out, re.MULTILINE)
    assert re.search(r"^  orgId was text +6$", out, re.MULTILINE)
    with pytest.raises(json.JSONDecodeError):
        json.loads(out)
