"""The journal on MongoDB: one document per entry, its number as `_id`."""

from collections.abc import Sequence
from json import dumps, loads
from typing import Final

import pymongo
from pymongo.database import Database
from pymongo.errors import PyMongoError

from infrastructure.journal.entries import JournalEntry
from infrastructure.mongodb.client import Document
from infrastructure.mongodb.failures import answering, is_duplicate

_PATIENCE: Final = 10.0
"""Seconds an entry keeps trying while the replica set has no primary."""


class MongoDBJournal:
    """A `Journal`. Creates its index when opened."""

    def __init__(self, database: Database[Document]) -> None:
        self._entries = database["journal"]
        with answering():
            self._entries.create_index([("orgId", 1), ("_id", 1)])

    def append(self, entries: Sequence[JournalEntry]) -> None:
        waiting = list(entries)
        with answering(), pymongo.timeout(_PATIENCE):
            while waiting:
                first = self._last() + 1
                documents = [_document(n, entry) for n, entry in enumerate(waiting, start=first)]
                try:
                    self._entries.insert_many(documents)
                    return
                except PyMongoError as error:
                    if not is_duplicate(error):
                        raise
                    # another process took a number first: what stands before it is kept
                    waiting = waiting[_kept(error) :]

    def read(
        self, org_id: str | None, *, beyond: int | None, limit: int
    ) -> Sequence[tuple[int, JournalEntry]]:
        where: Document = {} if org_id is None else {"orgId": org_id}
        if beyond is not None:
            where["_id"] = {"$lt": beyond}
        with answering():
            documents = self._entries.find(where, sort=[("_id", -1)], limit=limit) if limit else ()
            return [(document["_id"], _entry(document)) for document in documents]

    def _last(self) -> int:
        document = self._entries.find_one({}, {"_id": 1}, sort=[("_id", -1)])
        return int(document["_id"]) if document else 0


def _kept(error: PyMongoError) -> int:
    """The number of documents of an ordered insert before the refused one."""
    details = getattr(error, "details", None) or {}
    return int(details.get("nInserted", 0))


def _document(number: int, entry: JournalEntry) -> Document:
    return {
        "_id": number,
        "at": entry.at,
        "actor": entry.actor,
        "orgId": entry.org_id,
        "action": entry.action,
        "details": dumps(entry.details, ensure_ascii=False),  # names in it may hold dots
        "correlationId": entry.correlation_id,
    }


def _entry(document: Document) -> JournalEntry:
    return JournalEntry(
        at=document["at"],
        actor=document["actor"],
        org_id=document["orgId"],
        action=document["action"],
        details=loads(document["details"]),
        correlation_id=document["correlationId"],
    )
