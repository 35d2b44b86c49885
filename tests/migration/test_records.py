"""What the records of the old system mean here."""

import json
from typing import Any

import bson
import pytest
from bson import Code
from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64

from domain.ticket.commands import ImportTicket, QuarantineRecord
from domain.ticket.events import LegacyRecordQuarantined, TicketImported
from infrastructure.migration.expected import ExpectedTicket, expect
from infrastructure.migration.record_text import as_bytes
from infrastructure.migration.records import Translation, stream_id
from tests.support.old_records import BORN, CLEAN, FOREMAN, ODD, without
from tests.support.stories import ACME, CATALOGUE, START, origin

OF_WORKFORCE = Translation("ticket_1", "workforce_2", CATALOGUE)


def taken(document: dict[str, Any], translation: Translation = OF_WORKFORCE) -> TicketImported:
    command = translation.command(bson.encode(document), origin())
    assert isinstance(command, ImportTicket)
    assert command.ticket_id == str(document["_id"])
    return command.imported


def kept(document: dict[str, Any], translation: Translation = OF_WORKFORCE) -> QuarantineRecord:
    command = translation.command(bson.encode(document), origin())
    assert isinstance(command, QuarantineRecord)
    return command


def test_a_clean_record_becomes_a_ticket_of_the_same_content() -> None:
    imported = taken(CLEAN)
    assert (imported.org_id, imported.system, imported.name) == (ACME, "workforce_2", "Foreman")
    assert imported.features == ("create_worker", "get_all")
    assert (imported.created_at, imported.updated_at) == (START, START)
    assert (imported.repairs, imported.unknown_features) == ((), ())
    assert (imported.source.collection, imported.source.revision) == ("ticket_1", 7)


@pytest.mark.parametrize(
    ("document", "holds", "repair"),
    [
        (CLEAN | {"orgId": ACME.upper()}, {"org_id": ACME}, "orgId was text"),
        (
            CLEAN | {"features": ["get_all", "create_worker", "get_all"]},
            {"features": ("get_all", "create_worker")},
            "a feature was listed more than once",
        ),
        (without("features"), {"features": ()}, "features were missing: none"),
        (without("createdAt"), {"created_at": BORN}, "createdAt was missing: from _id"),
        (without("updatedAt"), {"updated_at": START}, "updatedAt was missing: createdAt"),
        (CLEAN | {"updatedAt": "now"}, {"updated_at": START}, "updatedAt was no date: createdAt"),
        (
            CLEAN | {"createdAt": 1577836800},
            {"created_at": BORN},
            "createdAt was no date: from _id",
        ),
        (
            CLEAN | {"createdAt": DatetimeMS(10**15)},
            {"created_at": BORN},
            "createdAt was out of range: from _id",
        ),
        (
            CLEAN | {"createdAt": "2014-02-05T12:54:13.0009+01:00"},
            {"created_at": BORN},
            "createdAt was text",
        ),
        (
            CLEAN | {"createdAt": "2020-01-01T00:00:00"},
            {"created_at": BORN},
            "createdAt was no date: from _id",
        ),
        (without("__v"), {"name": "Foreman"}, "__v was missing: 0"),
        (CLEAN | {"__v": "7"}, {"name": "Foreman"}, "__v was no whole number: 0"),
        (CLEAN | {"color": 1, "notes": {}}, {"name": "Foreman"}, "left out: color, notes"),
    ],
)
def test_what_has_one_obvious_meaning_is_mended_and_said(
    document: dict[str, Any], holds: dict[str, Any], repair: str
) -> None:
    imported = taken(document)
    assert {name: getattr(imported, name) for name in holds} == holds
    assert imported.repairs == (repair,)


@pytest.mark.parametrize(("found", "revision"), [(3.0, 3), (3.5, 0), (1e300, 0), (True, 0)])
def test_a_revision_is_a_whole_number_however_it_is_stored(found: Any, revision: int) -> None:
    assert taken(CLEAN | {"__v": found}).source.revision == revision


def test_a_record_without_times_is_as_old_as_its_id() -> None:
    imported = taken(without("createdAt", "updatedAt"))
    assert (imported.created_at, imported.updated_at) == (BORN, BORN)
    assert len(imported.repairs) == 2


def test_features_no_system_knows_are_kept_aside() -> None:
    code = "async (req, res) => {\n\tres.json();\n}"
    imported = taken(CLEAN | {"features": ["get_all", code, "print_labels"]})
    assert imported.features == ("get_all",)
    assert imported.unknown_features == (code, "print_labels")
    assert imported.repairs == ()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (without("name"), "no usable name"),
        (CLEAN | {"name": " \t"}, "no usable name"),
        (CLEAN | {"name": 7}, "no usable name"),
        (without("orgId"), "no organisation"),
        (CLEAN | {"orgId": "acme"}, "no organisation"),
        (CLEAN | {"features": "get_all"}, "not a list of names"),
        (CLEAN | {"features": None}, "not a list of names"),
        (CLEAN | {"features": ["get_all", 7]}, "not a list of names"),
        (CLEAN | {"name": Code("x()")}, "no usable name"),
        (CLEAN | {"orgId": Code(ACME)}, "no organisation"),
        (CLEAN | {"features": ["get_all", Code("x()")]}, "not a list of names"),
        (CLEAN | {"features": ["get_all", Code("x()", {"y": 1})]}, "not a list of names"),
        (CLEAN | {"system": "donear_3"}, "it names another system"),
        (CLEAN | {"system": 2}, "it names another system"),
        (CLEAN | {"_id": "by hand"}, "_id is not an ObjectId"),
        (without("_id"), "_id is not an ObjectId"),
    ],
)
def test_what_has_no_safe_meaning_is_kept_whole_with_its_reason(
    document: dict[str, Any], reason: str
) -> None:
    quarantined = kept(document).quarantined
    assert isinstance(quarantined, LegacyRecordQuarantined)
    assert reason in quarantined.reason
    whole = json.loads(quarantined.record)
    assert list(whole) == list(document)


@pytest.mark.parametrize(
    ("document", "fits"),
    [
        (CLEAN | {"name": "x" * 99_981, "features": ["create_worker", "get_on"]}, True),
        (CLEAN | {"name": "x" * 99_982, "features": ["create_worker", "get_on"]}, False),
        (CLEAN | {"name": "\u0645" * 50_000}, False),
        (CLEAN | {"features": ["y" * 100_000]}, False),
        (CLEAN | {"features": ["y"] * 99_993}, True),
        (CLEAN | {"features": ["y"] * 99_994}, False),
        (CLEAN | {"z" * 100_000: 1}, False),
        (CLEAN | {"notes": "z" * 1_000_000}, True),
    ],
    ids=range(8),
)
def test_a_record_is_a_ticket_only_if_every_view_can_show_it_and_is_kept_whole_otherwise(
    document: dict[str, Any], fits: bool
) -> None:
    record = bson.encode(document)
    command = OF_WORKFORCE.command(record, origin())
    systems = {name: system.features.keys() for name, system in CATALOGUE.systems.items()}
    expected = expect(record, "workforce_2", systems)
    assert isinstance(command, ImportTicket) is isinstance(expected, ExpectedTicket) is fits
    if isinstance(command, QuarantineRecord):
        assert "at most 100,000 have a place in an audit entry" in command.quarantined.reason
        assert as_bytes(command.quarantined.record) == record


@pytest.mark.parametrize("record", ODD.values(), ids=ODD)
def test_whatever_a_record_holds_it_is_kept_to_the_byte(record: bytes) -> None:
    command = OF_WORKFORCE.command(record, origin())
    assert isinstance(command, QuarantineRecord)
    assert as_bytes(command.quarantined.record) == record


def test_bytes_that_are_no_document_are_kept_too() -> None:
    broken = bson.encode({"name": "x"}).replace(b"x", b"\xff")
    command = OF_WORKFORCE.command(broken, origin())
    assert isinstance(command, QuarantineRecord)
    assert "no readable BSON" in command.quarantined.reason


def test_without_a_system_each_record_names_its_own() -> None:
    general = Translation("tickets", None, CATALOGUE)
    assert taken(CLEAN | {"system": "donear_3", "features": []}, general).system == "donear_3"
    for system in ("nowhere", 3, None):
        assert "names no system" in kept(CLEAN | {"system": system}, general).quarantined.reason


def test_a_record_may_name_the_system_that_it_is_of() -> None:
    assert taken(CLEAN | {"system": "workforce_2"}).repairs == ()
    assert taken(CLEAN | {"system": None}).system == "workforce_2"


def test_the_digest_tells_every_difference_of_two_records() -> None:
    digests = {
        taken(document).source.digest
        for document in (CLEAN, CLEAN | {"__v": Int64(7)}, CLEAN | {"color": 1})
    }
    assert len(digests) == 3


def test_records_of_different_ids_never_share_a_stream() -> None:
    ids = [FOREMAN, str(FOREMAN), "by hand", "by\x00hand", 7, Int64(8), "7", None, {"a": 1}]
    ids.append(Code("by hand"))
    names = [stream_id(record_id) for record_id in ids]
    assert len(set(names)) == len(ids)
    assert names[0] == str(FOREMAN)
    assert names[2] == "by hand"
    assert stream_id(names[4]) != names[4]
