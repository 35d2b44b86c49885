"""The old system, as a migration meets it: a collection `ticket_1` that somebody keeps writing to,
and the records it may hold, dirty ones included."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from threading import Event, Thread
from typing import Any, Final
from urllib.parse import urlsplit

from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database

from infrastructure.mongodb.client import Document, database

FEATURES: Final = ("get_all", "get_one", "create_yarn", "create_shift", "delete_machine")
RAW: Final = CodecOptions(document_class=RawBSONDocument)

ORGS: Final = tuple(ObjectId(f"65da4715b8cd3a97f11ae{number:03d}") for number in range(5))


def record(random: Random, **fields: Any) -> Document:
    """A clean record, except for `fields`."""
    now = datetime.now(UTC)
    return {
        "_id": ObjectId(),
        "name": f"Crew {random.randrange(1_000_000)}",
        "orgId": random.choice(ORGS),
        "features": random.sample(FEATURES, random.randrange(len(FEATURES))),
        "createdAt": now,
        "updatedAt": now,
        "__v": 0,
    } | fields


def fill(database: Database[Document], count: int, seed: int = 1) -> None:
    """Put that many clean records there."""
    random = Random(seed)
    database["ticket_1"].insert_many([record(random) for _ in range(count)])


def content(database: Database[Document], collection: str = "ticket_1") -> bytes:
    """Every byte of the collection, in its natural order."""
    raw = database[collection].with_options(codec_options=RAW)
    return b"".join(found.raw for found in raw.find())


class OldSystem:
    """Keeps changing the records: about one change in three leaves a dirty one, and nearly all
    that are dirty get changed again."""

    def __init__(self, database: Database[Document], seed: int) -> None:
        self._records = database["ticket_1"]
        self._random = Random(seed)
        self._ids = [found["_id"] for found in self._records.find({}, {"_id": 1})]
        self._gone: list[Document] = []
        self._changes: tuple[Callable[[Any], object], ...] = (
            *(self._rename, self._regrant, self._regrant, self._insert, self._delete),
            *(self._touch_nothing_but_the_name, self._make_dirty, self._make_dirty, self._clean),
            *(self._bring_back, self._misfile),
        )
        self.changes = 0

    def change(self) -> None:
        """Change one record, somehow."""
        self._random.choice(self._changes)(self._random.choice(self._ids))
        self.changes += 1

    def _rename(self, record_id: Any) -> None:
        self._set(record_id, name=f"Crew {self._random.random()}", updatedAt=datetime.now(UTC))

    def _regrant(self, record_id: Any) -> None:
        features = self._random.sample(FEATURES, self._random.randrange(len(FEATURES)))
        self._set(record_id, features=features, updatedAt=datetime.now(UTC))

    def _touch_nothing_but_the_name(self, record_id: Any) -> None:
        self._set(record_id, name=f"By hand {self._random.random()}")

    def _clean(self, record_id: Any) -> None:
        clean = record(self._random)
        del clean["_id"]
        # the organisation of a record never changes in the old system
        del clean["orgId"]
        self._records.update_one({"_id": record_id}, {"$set": clean})

    def _insert(self, _: Any) -> None:
        made = record(self._random)
        self._records.insert_one(made)
        self._ids.append(made["_id"])

    def _delete(self, record_id: Any) -> None:
        if found := self._records.find_one_and_delete({"_id": record_id}):
            self._gone.append(found)

    def _bring_back(self, _: Any) -> None:
        if self._gone:
            self._records.insert_one(self._gone.pop())

    def _misfile(self, _: Any) -> None:
        misfiled = record(self._random, _id=f"by hand {self._random.random()}")
        self._records.insert_one(misfiled)
        self._ids.append(misfiled["_id"])

    def _make_dirty(self, record_id: Any) -> None:
        change: Document = self._random.choice(
            [
                {"$unset": {"name": 1}},
                {"$unset": {"createdAt": 1, "updatedAt": 1}},
                {"$set": {"features": ["get_all", "get_one", "get_all"]}},
                {"$set": {"features": ["get_all", "print_labels"]}},
                {"$set": {"features": "get_all"}},
                {"$set": {"color": self._random.random()}},
            ]
        )
        self._records.update_one({"_id": record_id}, change)

    def _set(self, record_id: Any, **fields: Any) -> None:
        self._records.update_one({"_id": record_id}, {"$set": fields, "$inc": {"__v": 1}})


@contextmanager
def old_database(
    client: MongoClient[Document], uri: str, records: int
) -> Iterator[tuple[Database[Document], str]]:
    """A database of that many clean records, and its address; dropped at the end."""
    name = f"old_{ObjectId()}"
    opened = database(client, name)
    fill(opened, records)
    yield opened, urlsplit(uri)._replace(path=f"/{name}").geturl()
    client.drop_database(name)


@contextmanager
def at_work(old: OldSystem) -> Iterator[None]:
    """The old system makes a few hundred changes a second until the block ends."""
    done = Event()

    def work() -> None:
        while not done.wait(0.003):
            old.change()

    thread = Thread(target=work, name="old-system")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
