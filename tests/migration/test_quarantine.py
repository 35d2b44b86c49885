"""Records in quarantine: listed, shown, and tried again after a correction."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import ObjectId, json_util
from pymongo import MongoClient
from pymongo.database import Database
from typer.testing import CliRunner

from api.cli.main import app
from api.composition import open_stores
from domain.ticket.state import fold
from infrastructure.configuration.settings import load_settings
from infrastructure.log.ticket_log import TicketLog
from infrastructure.migration.source import DatabaseSource
from infrastructure.mongodb.client import Document
from tests.support.command import run as run_anywhere
from tests.support.migrating import DIRTY, migrate, migrated, old_database, sample
from tests.support.old_records import FOREMAN, ODD
from tests.support.server import SECRET, environment

NAMELESS = DIRTY["no name"]


@pytest.fixture
def old(
    mongodb_client: MongoClient[Document], mongodb_uri: str
) -> Iterator[tuple[Database[Document], str]]:
    with old_database(mongodb_client, mongodb_uri) as opened:
        yield opened


def listed(store: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = migrated("quarantine", "list", store=store)
    return found


def test_a_corrected_record_becomes_a_ticket_and_the_others_stay(
    old: tuple[Database[Document], str], store_url: str
) -> None:
    database, source = old
    migrated("run", "--source", source, "--no-backup", store=store_url)
    found = listed(store_url)
    assert sorted(one["id"] for one in found) == sorted(NAMELESS)
    assert {one["reason"] for one in found} == {"it has no usable name"}

    code, out, _ = migrate("quarantine", "show", NAMELESS[0], store=store_url)
    assert code == 0
    record = next(one for one in sample("ticket_1") if str(one["_id"]) == NAMELESS[0])
    whole = json_util.loads(json.dumps(json.loads(out)["record"]))
    assert bson.encode(whole) == bson.encode(record)

    database["ticket_1"].update_one({"_id": record["_id"]}, {"$set": {"name": "Found again"}})
    retry = ("quarantine", "retry", "--source", source)
    code, _, err = migrate(*retry, "--dry-run", store=store_url)
    assert code == 0
    assert f"{NAMELESS[0]}: would become a ticket" in err and len(listed(store_url)) == 6
    code, out, err = migrate(*retry, "--json", store=store_url)
    assert code == 1
    assert json.loads(out) == {"tickets": [NAMELESS[0]], "quarantined": sorted(NAMELESS[1:])}
    assert sorted(one["id"] for one in listed(store_url)) == sorted(NAMELESS[1:])
    code, _, err = migrate("verify", "--source", source, store=store_url)
    assert code == 0, err

    database["ticket_1"].update_many({"name": None}, {"$set": {"name": "All of them"}})
    code, _, err = migrate(*retry, NAMELESS[1], store=store_url)
    assert code == 0, err
    assert "1 became tickets, 0 are still in quarantine" in err
    assert migrate(*retry, store=store_url)[0] == 0
    assert listed(store_url) == []


def test_a_record_that_is_followed_meanwhile_is_tried_as_it_stands_by_then(
    old: tuple[Database[Document], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (database, source), store = old, f"sqlite:///{tmp_path}/new.db"
    migrated("run", "--source", source, "--no-backup", store=store)
    one = database["ticket_1"].find_one({"name": None})
    assert one
    correct = partial(database["ticket_1"].update_one, {"_id": one["_id"]})
    correct({"$set": {"name": "Corrected"}})
    records = DatabaseSource.records

    def slowly(self: DatabaseSource, collection: str) -> Iterator[bytes]:
        yield from records(self, collection)
        correct({"$set": {"name": "Corrected again"}})
        migrated("follow", "--source", source, "--until-idle", store=store)

    monkeypatch.setattr(DatabaseSource, "records", slowly)
    for name, value in environment(store).items():
        monkeypatch.setenv(name, value)
    retry = ("migrate", "quarantine", "retry", "--source", source)
    CliRunner().invoke(app, retry, catch_exceptions=False)
    with open_stores(load_settings(environment(store))) as stores:
        ticket = fold(TicketLog(stores.log).histories([str(one["_id"])])[str(one["_id"])])
    assert ticket and ticket.name == "Corrected again"


def test_without_a_source_records_are_tried_as_they_were_kept(tmp_path: Path) -> None:
    store, dumps = f"sqlite:///{tmp_path}/new.db", tmp_path / "dumps"
    dumps.mkdir()
    fields = sample("ticket_1")[0]
    (dumps / "ticket_1.bson").write_bytes(bson.encode({**fields, "orgId": "acme"}))
    migrated("run", "--source", str(dumps), "--no-backup", store=store)
    code, _, err = migrate("quarantine", "retry", store=store)
    assert code == 1
    assert "0 became tickets, 1 are still in quarantine" in err
    assert len(listed(store)) == 1


def test_odd_records_stop_nothing_and_are_whole(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/new.db"
    (tmp_path / "ticket_1.bson").write_bytes(
        b"".join(record.replace(FOREMAN.binary, ObjectId().binary) for record in ODD.values())
    )
    migrated("run", "--source", str(tmp_path), "--no-backup", store=store)
    code, _, err = migrate("quarantine", "retry", store=store)
    assert code == 1
    assert f"0 became tickets, {len(ODD)} are still in quarantine" in err
    code, out, err = migrate("verify", "--source", str(tmp_path), store=store)
    assert (code, out) == (0, ""), err


def test_what_is_not_in_quarantine_is_told(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/new.db"
    migrate("backup", "--source", str(tmp_path), "--to", f"{tmp_path}/kept", store=store)
    for command in ("show", "retry"):
        code, _, err = run_anywhere(
            "migrate", "quarantine", command, "ab" * 12, store=store, TICKETBOOK_AUTH_SECRET=SECRET
        )
        assert code == 2
        assert "is not in quarantine" in err


@pytest.mark.parametrize(
    ("store", "unreadable"),
    [
        *(("mongodb", False), ("sqlite", True)),
        pytest.param("mongodb", True, marks=pytest.mark.exhaustive),
        pytest.param("sqlite", False, marks=pytest.mark.exhaustive),
    ],
    indirect=["store"],
)
def test_a_record_that_is_too_long_as_text_is_kept_whole_too(
    unreadable: bool, store_url: str, tmp_path: Path
) -> None:
    fields = sample("ticket_1")[0] | {"name": None, "notes": "?" * 10, "blob": b"\xff" * 13_000_000}
    record = bson.encode(fields)
    if unreadable:
        record = record.replace(b"?" * 10, b"\xff" * 10)
    (tmp_path / "ticket_1.bson").write_bytes(record)
    migrated("run", "--source", str(tmp_path), "--no-backup", store=store_url)
    (found,) = listed(store_url)
    assert ("no readable BSON" in found["reason"]) == unreadable
    code, out, err = migrate("verify", "--source", str(tmp_path), store=store_url)
    assert (code, out) == (0, ""), err
    code, _, err = migrate("quarantine", "retry", store=store_url)
    assert code == 1
    assert listed(store_url) == [found]
