"""Verifying a migration: everything that differs is told, and nothing that does not."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import ObjectId, json_util
from bson.datetime_ms import DatetimeMS
from pymongo import MongoClient
from pymongo.database import Database

from api.composition import open_service
from api.use_cases.service import Service
from domain.errors import SourceUnusable
from domain.origin import Origin, milliseconds
from domain.ticket.commands import ImportTicket, QuarantineRecord, RenameTicket, RetireTicket
from domain.ticket.events import LegacyRecordQuarantined, TicketImported
from infrastructure.clock import now
from infrastructure.configuration.settings import load_settings
from infrastructure.migration.expected import read_again
from infrastructure.migration.proofs import Proofs
from infrastructure.migration.source import FolderSource, documents
from infrastructure.mongodb.client import Document
from tests.support.migrating import (
    DIRTY,
    DUMPS,
    as_json_lines,
    migrate,
    migrated,
    old_database,
    sample,
)
from tests.support.server import environment

REFERENCES = 15 + 13 + 18


@pytest.fixture
def target(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/new.db"


@pytest.fixture
def old(
    mongodb_client: MongoClient[Document], mongodb_uri: str
) -> Iterator[tuple[Database[Document], str]]:
    with old_database(mongodb_client, mongodb_uri) as opened:
        yield opened


def run(source: str, store: str) -> None:
    migrated("run", "--source", source, "--no-backup", store=store)


def verify(source: str, store: str, *options: str) -> tuple[int, list[dict[str, Any]], str]:
    code, out, err = migrate("verify", "--source", source, *options, store=store)
    return code, [json.loads(line) for line in out.splitlines()], err


def unexplained(source: str, store: str) -> list[dict[str, Any]]:
    """What a verification that fails lists as unexplained."""
    code, found, _ = verify(source, store)
    bad = [one for one in found if one["explained"] is None]
    assert code == (1 if bad else 0)
    return bad


def tamper(store: str, act: Callable[[Service, Origin], object]) -> None:
    with open_service(load_settings(environment(store)), run_projections=False) as service:
        act(service, Origin("ada", None, "request-1", None, milliseconds(now())))


def check_sample(found: list[dict[str, Any]]) -> None:
    """The references that the manifest names are listed, each once, and nothing else but those to
    the records in quarantine."""
    users = {
        kind: sorted(one["user"] for one in found if one["kind"] == kind)
        for kind in ("dangling-reference", "wrong-organisation")
    }
    assert users["dangling-reference"] == sorted(DIRTY["user points at no ticket"])
    assert users["wrong-organisation"] == sorted(
        DIRTY["user and ticket of different organisations"]
    )
    others = {one["ticket"] for one in found if one["kind"] == "quarantined-reference"}
    assert others <= set(DIRTY["no name"])
    assert len(found) == REFERENCES
    assert all(one["explained"] and one["system"] == "revolution_counter_1" for one in found)


@pytest.mark.parametrize("json_lines", [False, True], ids=["bson", "json"])
def test_the_sample_from_dumps_is_accounted_for_and_its_bad_references_are_listed(
    json_lines: bool, target: str, tmp_path: Path
) -> None:
    source = str(as_json_lines(tmp_path) if json_lines else DUMPS)
    run(source, target)
    code, found, err = verify(source, target, "--json")
    assert code == 0, err
    assert found.pop() == {
        "kind": "summary",
        **{"records": 1200, "equal": 1152, "repaired": 42, "changedHere": 0, "quarantined": 6},
        **{"gone": 0, "listed": REFERENCES, "unexplained": 0},
    }
    check_sample(found)
    assert "1,200 records: 1,152 equal tickets, 42 with exactly the recorded repairs" in err
    assert "6 in quarantine" in err
    assert "46 listed, 0 of them unexplained" in err


def test_the_sample_from_a_database_is_accounted_for_and_that_is_kept_as_proof(
    old: tuple[Database[Document], str], mongodb_url: str
) -> None:
    database, source = old
    run(source, mongodb_url)
    code, found, err = verify(source, mongodb_url)
    assert code == 0, err
    check_sample(found)
    name = source.split("//")[1].split("?")[0]
    with open_service(load_settings(environment(mongodb_url)), run_projections=False) as service:
        verified = Proofs(service.notes, name, "ticket_1").verified()
        assert verified and verified.content.records == 1200
        assert verified.position == 1200
    database["ticket_1"].delete_one({})
    assert len(unexplained(source, mongodb_url)) == 1
    with open_service(load_settings(environment(mongodb_url)), run_projections=False) as service:
        assert Proofs(service.notes, name, "ticket_1").verified() is None


def test_nothing_is_accounted_for_before_it_is_taken_over(target: str) -> None:
    migrated("backup", "--source", str(DUMPS), "--to", f"{target[10:]}-kept", store=target)
    bad = unexplained(str(DUMPS), target)
    kinds = Counter(one["kind"] for one in bad)
    assert kinds["missing"] == 1200
    assert kinds.keys() == {"missing", "dangling-reference"}


Change = Callable[[Database[Document], Document], object]


def test_there_is_nothing_to_verify_in_an_empty_source(
    mongodb_uri: str, target: str, tmp_path: Path
) -> None:
    run(str(DUMPS), target)
    (tmp_path / "ticket_1.bson").write_bytes(b"")
    for source in (mongodb_uri.replace("/?", f"/old_{ObjectId()}?"), str(tmp_path)):
        code, found, err = verify(source, target)
        assert (code, found) == (4, [])
        assert "There is nothing in ticket_1 of" in err


def _set(**fields: Any) -> Change:
    return lambda old, one: old["ticket_1"].update_one({"_id": one["_id"]}, {"$set": fields})


LATER = datetime(2030, 1, 1, tzinfo=UTC)


CHANGES: list[tuple[Change, str, str | None]] = [
    (_set(name="Other"), "content", "name"),
    (_set(features=["get_all"]), "content", "features"),
    (_set(orgId=ObjectId()), "content", "orgId"),
    (_set(createdAt=LATER), "content", "createdAt"),
    (_set(updatedAt=LATER), "content", "updatedAt"),
    (_set(__v=99), "content", "__v"),
    (_set(color="red"), "content", "digest"),
    (_set(name=" "), "missing", None),
    (_set(system="donear_3"), "missing", None),
    (lambda old, one: old["ticket_1"].delete_one(one), "extra", None),
    (lambda old, one: old["ticket_1"].insert_one(one | {"_id": ObjectId()}), "missing", None),
    (lambda old, one: old["ticket_1"].insert_one(one | {"_id": "by hand"}), "missing", "record"),
]


def test_whatever_differs_in_the_source_is_told_and_running_again_mends_all_but_another_owner(
    old: tuple[Database[Document], str], target: str
) -> None:
    database, source = old
    run(source, target)
    records = database["ticket_1"].find({"features.3": {"$exists": True}, "color": None})
    changed: dict[str, tuple[str, str | None]] = {}
    for (change, kind, field), one in zip(CHANGES, records, strict=False):
        change(database, one)
        changed[str(one["_id"])] = (kind, field)
    bad = [found for found in unexplained(source, target) if "user" not in found]
    assert Counter((one["kind"], one.get("field")) for one in bad) == Counter(changed.values())
    for one in bad:
        if one["ticket"] in changed and one["kind"] == "content":
            assert changed[one["ticket"]] == ("content", one["field"])
            assert one["expected"] != one["found"]
    run(source, target)
    (moved,) = [one for one in unexplained(source, target) if "user" not in one]
    assert changed[moved["ticket"]] == (moved["kind"], moved["field"]) == ("content", "orgId")
    assert moved["expected"] != moved["found"]


WRONG: dict[str, dict[str, Any]] = {
    "name": {"name": "Other"},
    "features": {"features": ()},
    "repairs": {"repairs": ("orgId was text",)},
    "unknown_features": {"unknown_features": ("made_up",)},
    "createdAt": {"created_at": LATER},
}


def imports(service: Service) -> list[tuple[str, TicketImported]]:
    """Some tickets that hold features, and the events that made them."""
    return [
        (recorded.ticket_id, recorded.event)
        for recorded in service.log.read(0, 50)
        if isinstance(recorded.event, TicketImported) and recorded.event.features
    ]


def test_whatever_was_taken_over_wrongly_is_told(target: str) -> None:
    run(str(DUMPS), target)
    expected: dict[str, str] = {}

    def act(service: Service, origin: Origin) -> None:
        for (ticket_id, right), (field, content) in zip(
            imports(service), WRONG.items(), strict=False
        ):
            expected[ticket_id] = field
            away = replace(right, name="On", source=replace(right.source, digest="00" * 32))
            service.writer.execute(ImportTicket(ticket_id, away))
            service.writer.execute(ImportTicket(ticket_id, replace(right, **content)))

    tamper(target, act)
    bad = unexplained(str(DUMPS), target)
    assert {one["ticket"]: one["field"] for one in bad} == expected
    assert all(one["kind"] == "content" and one["expected"] != one["found"] for one in bad)


ODD: list[dict[str, Any]] = [
    {"": 1},
    {"createdAt": "2014-02-05T12:54:13.0009+01:00", "updatedAt": "2014-02-05T12:54:13Z"},
    {"createdAt": "yesterday", "updatedAt": "2014-2-5T12:54:13Z"},
    {"createdAt": "9999-12-31T23:59:59-01:00", "updatedAt": "2014-02-05T12:54:13"},
    {"createdAt": 1577836800000, "updatedAt": None},
    {"createdAt": DatetimeMS(10**15), "updatedAt": DatetimeMS(-(10**15))},
    {"__v": 3.0},
    {"__v": 3.5},
    {"__v": float("inf")},
    {"__v": "3"},
    {"__v": True},
]


def test_odd_fields_are_understood_alike_by_those_who_take_over_and_who_verify(
    target: str, tmp_path: Path
) -> None:
    records = [sample("ticket_1")[0] | {"_id": ObjectId()} | odd for odd in ODD]
    exact = json_util.CANONICAL_JSON_OPTIONS
    lines = [json_util.dumps(record, json_options=exact) for record in records]
    (tmp_path / "ticket_1.json").write_text("\n".join(lines))
    run(str(tmp_path), target)
    code, found, err = verify(str(tmp_path), target, "--json")
    assert (code, found[0]["repaired"]) == (0, len(ODD)), (found, err)


@pytest.mark.parametrize("line", ["[" * 100_000, f'{{"x": {10**30}}}', "{", "3", '{"_id": \xff}'])
def test_a_line_that_is_no_document_is_told(line: str, tmp_path: Path) -> None:
    dump = tmp_path / "ticket_1.json"
    dump.write_text(line, encoding="latin-1")
    with pytest.raises(SourceUnusable, match=r"Line 1 of .* is no document"):
        list(documents(dump))
    with pytest.raises(SourceUnusable, match="cannot be read to its end"):
        list(read_again(FolderSource("dumps", tmp_path), "ticket_1"))


def test_fields_with_commas_in_their_names_may_be_left_out(target: str, tmp_path: Path) -> None:
    fields = sample("ticket_1")[0] | {"colour, by name": "blue", "size": 4}
    (tmp_path / "ticket_1.bson").write_bytes(bson.encode(fields))
    run(str(tmp_path), target)
    assert unexplained(str(tmp_path), target) == []


def test_a_record_that_is_not_whole_in_quarantine_is_told(target: str) -> None:
    run(str(DUMPS), target)

    def act(service: Service, origin: Origin) -> None:
        history = service.log.histories([DIRTY["no name"][0]])[DIRTY["no name"][0]]
        event = history[-1].event
        assert isinstance(event, LegacyRecordQuarantined)
        away = replace(event, source=replace(event.source, digest="00" * 32))
        cut = replace(event, record=event.record.replace("get_", "got_"))
        service.writer.execute(QuarantineRecord(DIRTY["no name"][0], away))
        service.writer.execute(QuarantineRecord(DIRTY["no name"][0], cut))

    tamper(target, act)
    (bad,) = unexplained(str(DUMPS), target)
    assert (bad["kind"], bad["field"], bad["ticket"]) == ("content", "record", DIRTY["no name"][0])


def test_a_ticket_that_is_made_of_nothing_in_the_source_is_told(target: str) -> None:
    run(str(DUMPS), target)

    def act(service: Service, origin: Origin) -> None:
        _, event = imports(service)[0]
        service.writer.execute(ImportTicket("ab" * 12, event))

    tamper(target, act)
    (bad,) = unexplained(str(DUMPS), target)
    assert (bad["kind"], bad["ticket"]) == ("extra", "ab" * 12)


def test_what_was_changed_here_since_is_explained(
    old: tuple[Database[Document], str], target: str
) -> None:
    database, source = old
    run(source, target)
    renamed, retired, gone, *_ = [
        user["revolution_counter_1"]["ticket"]
        for user in database["users"].find()
        if database["ticket_1"].find_one(
            {
                "_id": user["revolution_counter_1"]["ticket"],
                "orgId": user["revolution_counter_1"]["orgId"],
                "name": {"$exists": True},
            }
        )
    ][:3]

    def act(service: Service, origin: Origin) -> None:
        service.writer.execute(RenameTicket(str(renamed), origin, None, None, "Chief"))
        service.writer.execute(RetireTicket(str(retired), origin, None, None))
        service.writer.execute(RenameTicket(str(gone), origin, None, None, "Stays here"))

    tamper(target, act)
    database["ticket_1"].delete_one({"_id": gone})
    database["ticket_1"].update_one({"_id": renamed}, {"$set": {"color": "red"}})
    code, found, err = verify(source, target)
    assert code == 0, err
    assert "2 changed here since" in err
    explained = {(one["kind"], one["explained"]) for one in found if one["ticket"] == str(retired)}
    assert explained == {("dangling-reference", "the ticket was retired here")}
    (extra,) = [one for one in found if one["kind"] == "extra"]
    assert extra["ticket"] == str(gone) and "changed here since" in extra["explained"]


def test_records_of_other_migrations_are_no_surplus(target: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    fields = {name: value for name, value in sample("ticket_1")[0].items() if name != "_id"}
    (other / "ticket_1.bson").write_bytes(bson.encode({"_id": ObjectId()} | fields))
    run(str(DUMPS), target)
    system = ("--system", "workforce_2")
    migrated("run", "--source", str(other), "--no-backup", *system, store=target)
    assert verify(str(DUMPS), target)[0] == 0


def test_references_to_other_systems_and_odd_ones_are_told(
    old: tuple[Database[Document], str], target: str
) -> None:
    database, source = old
    run(source, target)
    one = database["ticket_1"].find_one({"name": {"$exists": True}}) or {}
    elsewhere = {"orgId": one["orgId"], "ticket": one["_id"]}
    odd = {"orgId": one["orgId"], "ticket": "nothing"}
    fine = {"orgId": str(one["orgId"]), "ticket": str(one["_id"])}
    database["users"].insert_one({"workforce_2": elsewhere, "donear_3": odd, "system_2": {}})
    database["users"].insert_one({"revolution_counter_1": fine, "system_2": {"ticket": None}})
    code, found, _ = verify(source, target)
    assert code == 0
    more = [one for one in found if one["system"] != "revolution_counter_1"]
    assert sorted((one["kind"], one["system"], one["ticket"]) for one in more) == [
        ("dangling-reference", "donear_3", "nothing"),
        ("dangling-reference", "workforce_2", str(one["_id"])),
    ]
    assert len(found) == REFERENCES + 2
