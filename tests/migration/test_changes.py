"""What is heard of the changes in the old system."""

import pytest
from bson import ObjectId, decode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.database import Database

from domain.errors import FollowedTooLate, SourceGone, SourceUnusable
from infrastructure.migration import changes as changes_module
from infrastructure.migration.changes import Changes, Heard, listening
from infrastructure.mongodb.client import Document
from tests.support.server import until

FIRST = ObjectId("52f22665a60c12d289185d95")
SECOND = ObjectId("52f22665a60c12d289185d96")


@pytest.fixture
def records(mongodb_database: Database[Document]) -> Collection[Document]:
    collection = mongodb_database["ticket_1"]
    collection.insert_one({"_id": FIRST, "name": "Foreman"})
    return collection


@pytest.fixture
def raw(records: Collection[Document]) -> Collection[RawBSONDocument]:
    return records.with_options(codec_options=CodecOptions(document_class=RawBSONDocument))


def heard(changes: Changes) -> dict[object, Document | None]:
    """What is heard until there is nothing more, by id."""
    found: dict[object, Document | None] = {}

    def idle() -> bool:
        batch = changes.hear()
        found.update((c.id, decode(c.record) if c.record else None) for c in batch.changes)
        return batch.idle

    until(idle)
    return found


def test_nothing_is_heard_of_what_was_there_before(raw: Collection[RawBSONDocument]) -> None:
    with listening(raw) as changes:
        assert heard(changes) == {}


def test_a_record_is_heard_of_once_as_it_stands_now(
    records: Collection[Document], raw: Collection[RawBSONDocument]
) -> None:
    with listening(raw) as changes:
        for name in ("Chief", "Boss", "Head"):
            records.update_one({"_id": FIRST}, {"$set": {"name": name}})
        records.insert_one({"_id": SECOND, "name": "Crew"})
        records.insert_one({"_id": "by hand"})
        records.delete_one({"_id": SECOND})
        assert heard(changes) == {
            FIRST: {"_id": FIRST, "name": "Head"},
            SECOND: None,
            "by hand": {"_id": "by hand"},
        }


def test_a_record_comes_with_the_very_bytes_of_the_source(
    raw: Collection[RawBSONDocument],
) -> None:
    with listening(raw) as changes:
        raw.update_one({"_id": FIRST}, {"$set": {"z": 1, "a": [{"b": 1.0}]}})
        batch = until_changed(changes)
        found = raw.find_one({"_id": FIRST})
        assert found and [change.record for change in batch.changes] == [found.raw]


def test_listening_goes_on_from_a_token_without_a_gap(
    records: Collection[Document], raw: Collection[RawBSONDocument]
) -> None:
    with listening(raw) as changes:
        records.update_one({"_id": FIRST}, {"$set": {"name": "Chief"}})
        token = until_changed(changes).token
    records.insert_one({"_id": SECOND})
    with listening(raw, token) as changes:
        assert heard(changes) == {SECOND: {"_id": SECOND}}


def test_no_more_is_handed_over_at_once_than_was_said(
    records: Collection[Document],
    raw: Collection[RawBSONDocument],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes_module, "MOST", 10)
    with listening(raw) as changes:
        records.insert_many([{"_id": ObjectId()} for _ in range(25)])
        assert len(until_changed(changes).changes) == 10
        assert len(heard(changes)) == 15


@pytest.mark.parametrize(
    "token",
    [
        '{"_data": "826B0588B6000000162B022C0100296E5A10041C8918C014AE4566941C602D1D22086F463C5F'
        '6964003C78000004"}',
        '{"_data": "zz"}',
        '{"a": 1}',
    ],
    ids=["of another server", "garbled", "not a token"],
)
def test_a_place_the_source_does_not_remember_is_told(
    token: str, raw: Collection[RawBSONDocument]
) -> None:
    with pytest.raises(FollowedTooLate), listening(raw, token) as changes:
        changes.hear()


@pytest.mark.parametrize("ending", ["drop", "rename"])
def test_a_collection_that_goes_away_is_told_and_is_not_a_deletion_of_all_records(
    ending: str, records: Collection[Document], raw: Collection[RawBSONDocument]
) -> None:
    with listening(raw) as changes:
        if ending == "drop":
            records.drop()
        else:
            records.rename("elsewhere")
        with pytest.raises(SourceGone, match="ticket_1"):
            until_changed(changes)


def until_changed(changes: Changes) -> Heard:
    found: list[Heard] = []

    def changed() -> bool:
        found[:] = [changes.hear()]
        return bool(found[0].changes)

    until(changed)
    return found[0]


def test_a_source_that_refuses_is_told_in_its_own_words(
    mongodb_database: Database[Document],
) -> None:
    mongodb_database["base"].insert_one({})
    mongodb_database.create_collection("ticket_1", viewOn="base")
    view = mongodb_database["ticket_1"].with_options(
        codec_options=CodecOptions(document_class=RawBSONDocument)
    )
    with pytest.raises(SourceUnusable, match=r"ticket_1.* refuses: .*view"), listening(view):
        pass
