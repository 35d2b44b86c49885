"""Taking a collection out of the old system, and putting it back to the byte."""

from random import Random

import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Regex
from pymongo.database import Database
from pymongo.errors import WriteError

from domain.errors import SourceChanged, StoreCorrupt
from infrastructure.migration.restoring import (
    RESTORING,
    RETIRING,
    Records,
    TableDigest,
    digest_of,
    put_back,
    raw,
    rehearse,
    shape_of,
    take_out,
)
from infrastructure.mongodb.client import Document
from tests.support.old_system import RAW, content, fill, record

STRANGE = {
    "_id": "no ObjectId",
    "z": Int64(1),
    "a": 1,
    "f": 1.0,
    "d": Decimal128("1.10"),
    "r": Regex("x"),
    "b": Binary(b"\x00", 5),
    "n": None,
    "o": {"y": [1, {"x": []}]},
}


@pytest.fixture
def old(fresh_mongodb_database: Database[Document]) -> Database[Document]:
    """The old system's database, with nothing in it."""
    return fresh_mongodb_database


@pytest.fixture
def records(old: Database[Document]) -> Records:
    fill(old, 2_500)
    collection = old["ticket_1"]
    collection.insert_one(STRANGE)
    collection.insert_one({"_id": ObjectId(b"\x00" * 12)})  # not last in the order of ids
    collection.create_index("orgId", name="by organisation", sparse=True)
    return collection.with_options(codec_options=RAW)


@pytest.mark.parametrize("level", ["moderate", "strict"])
def test_records_that_are_older_than_the_validator_come_back_with_it(
    level: str, records: Records, old: Database[Document]
) -> None:
    schema = {"$jsonSchema": {"required": ["system"]}}
    old.command("collMod", "ticket_1", validator=schema, validationLevel=level)
    before, shape, backup = content(old), shape_of(records), list(raw(records))
    rehearse(records, backup, digest_of(backup), shape)
    assert old.list_collection_names() == ["ticket_1"]
    take_out(records, digest_of(backup))
    assert put_back(records, backup, digest_of(backup), shape, "kept")
    assert (content(old), shape_of(records)) == (before, shape)
    with pytest.raises(WriteError):
        old["ticket_1"].insert_one({"name": "without a system"})


def test_a_collection_is_taken_out_and_put_back_to_the_byte(
    records: Records, old: Database[Document]
) -> None:
    before, shape, backup = content(old), shape_of(records), list(raw(records))
    expected = digest_of(backup)
    assert expected.records == 2_502

    assert take_out(records, expected)
    assert old.list_collection_names() == []
    assert not take_out(records, expected)

    assert put_back(records, backup, expected, shape, kept_as="kept")
    assert content(old) == before
    assert shape_of(records) == shape
    assert old.list_collection_names() == ["ticket_1"]


def test_options_of_a_collection_are_put_back_as_well(
    old: Database[Document],
) -> None:
    old.create_collection(
        "ticket_1", collation={"locale": "de"}, validator={"name": {"$type": "string"}}
    )
    old["ticket_1"].insert_one({"name": "Foreman"})
    records = old["ticket_1"].with_options(codec_options=RAW)
    shape, backup = shape_of(records), list(raw(records))
    take_out(records, digest_of(backup))
    put_back(records, backup, digest_of(backup), shape, kept_as="kept")
    assert shape_of(records) == shape
    assert '"locale": "de"' in shape and '"validator"' in shape


def test_a_collection_that_is_as_it_was_is_not_touched(
    records: Records, old: Database[Document]
) -> None:
    backup = list(raw(records))
    before = uuid_of(old)
    assert not put_back(records, backup, digest_of(backup), shape_of(records), kept_as="kept")
    assert uuid_of(old) == before


def test_what_stands_there_instead_is_kept_under_another_name(
    records: Records, old: Database[Document]
) -> None:
    before, backup = content(old), list(raw(records))
    old["ticket_1"].update_many({}, {"$set": {"name": "changed"}})
    changed = content(old)
    assert put_back(records, backup, digest_of(backup), shape_of(records), kept_as="kept")
    assert content(old) == before
    assert content(old, "kept") == changed


def test_a_collection_that_holds_something_else_is_not_taken_out(
    records: Records, old: Database[Document]
) -> None:
    expected = digest_of(raw(records))
    old["ticket_1"].insert_one(record(Random(2)))
    changed = content(old)
    with pytest.raises(SourceChanged, match="2503 records"):
        take_out(records, expected)
    assert content(old) == changed
    assert old.list_collection_names() == ["ticket_1"]


def test_records_that_are_only_in_another_order_are_not_the_same(records: Records) -> None:
    backup = list(raw(records))
    assert digest_of(reversed(backup)) != digest_of(backup)


def test_taking_out_goes_on_where_it_was_killed(records: Records, old: Database[Document]) -> None:
    expected = digest_of(raw(records))
    old["ticket_1"].rename("ticket_1" + RETIRING)
    take_out(records, expected)
    assert old.list_collection_names() == []


def test_a_collection_that_came_back_while_it_was_taken_out_is_told(
    records: Records, old: Database[Document]
) -> None:
    expected = digest_of(raw(records))
    old["ticket_1"].rename("ticket_1" + RETIRING)
    fill(old, 1)
    with pytest.raises(SourceChanged, match="Both ticket_1 and ticket_1_retiring are there"):
        take_out(records, expected)
    assert old["ticket_1" + RETIRING].count_documents({}) == expected.records


def test_putting_back_goes_on_where_it_or_taking_out_was_killed(
    records: Records, old: Database[Document]
) -> None:
    before, shape, backup = content(old), shape_of(records), list(raw(records))
    old["ticket_1"].rename("ticket_1" + RETIRING)
    old["ticket_1" + RESTORING].insert_one({"half": "of it"})
    put_back(records, backup, digest_of(backup), shape, kept_as="kept")
    assert content(old) == before

    take_out(records, digest_of(backup))
    old["ticket_1" + RESTORING].insert_one({"half": "of it"})
    put_back(records, backup, digest_of(backup), shape, kept_as="kept")
    assert content(old) == before
    assert old.list_collection_names() == ["ticket_1"]


def test_a_damaged_backup_replaces_nothing(records: Records, old: Database[Document]) -> None:
    old["ticket_1"].delete_one({})
    before, backup = content(old), list(raw(records))
    with pytest.raises(StoreCorrupt, match="Nothing was replaced"):
        put_back(records, backup, TableDigest(2_502, "ab" * 32), shape_of(records), kept_as="kept")
    assert content(old) == before
    assert old.list_collection_names() == ["ticket_1"]


def uuid_of(database: Database[Document]) -> object:
    return next(iter(database.list_collections()))["info"]["uuid"]
