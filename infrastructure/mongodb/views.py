"""The common part of the views on MongoDB: checkpoint, fence, parked tickets and the transaction.

Each version of a view has one document in `checkpoints`: `{_id: "tickets@1", position, fence,
writes, session, shares}`. Every transaction of a view increases `writes`, so that the document
really changes: two writers then collide, and only one of them commits.

A process that is killed inside a transaction leaves the checkpoint locked until MongoDB aborts the
transaction, a minute later. So a writer stores the id of its session first, and the next writer
ends that session.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, ClassVar, Final, Generic

import pymongo
from bson import Binary
from bson.errors import BSONError
from pymongo import DeleteMany, IndexModel, ReplaceOne, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from domain.errors import Fenced, StoreCorrupt
from infrastructure.mongodb.client import DURABLE, SETTLED, Document
from infrastructure.mongodb.exact import ANYTHING, ForeignKey
from infrastructure.mongodb.failures import Conflicting, answering
from projections.running.projection import Key, Parked, Row, ViewChange

PATIENCE: Final = 30.0
"""Seconds a transaction keeps trying while the replica set has no primary."""

_INDEXING: Final = 3_600.0
"""Seconds that building the indexes of a version may take, with millions of documents."""

_CHUNK: Final = 1_000
"""Most rows in one request while a version is loaded."""


class MongoDBView(ABC, Generic[Row]):
    """The part of a `View` that is the same for all kinds of rows: one version, in the
    collection `{projection}_{version}`."""

    indexes: ClassVar[Sequence[IndexModel]]

    def __init__(self, database: Database[Document], projection: str, version: int) -> None:
        self.name = f"{projection}@{version}"
        self._client = database.client
        self._rows: MongoCollection[Document] = database[f"{projection}_{version}"]
        self._anything = self._rows.with_options(codec_options=ANYTHING)
        self._checkpoints = database["checkpoints"]
        self._parked = database["parked"]
        self._sessions: dict[int, ClientSession] = {}

    def create(self, *, indexed: bool) -> None:
        """Make the collections and indexes that do not exist yet. A version that is built in bulk
        gets its readers' indexes when it is complete, at a fraction of the cost of keeping them up
        to date."""
        beginning = {"position": 0, "fence": 0, "writes": 0, "shares": {}}
        with answering():
            self._parked.create_index("_id.view")
            if indexed:
                self._rows.create_indexes(list(self.indexes))
            self._checkpoints.update_one(
                {"_id": self.name}, {"$setOnInsert": beginning}, upsert=True
            )

    def drop(self) -> None:
        """Delete all stored data of the version."""
        with answering():
            self._rows.drop()
            self._parked.delete_many({"_id.view": self.name})
            self._checkpoints.delete_one({"_id": self.name})

    @abstractmethod
    def latest(self, ticket_ids: Collection[str]) -> Mapping[str, Row]: ...

    @abstractmethod
    def _write(
        self, rows: Sequence[tuple[str, Row | None]], session: ClientSession, *, over: bool
    ) -> None:
        """Store the rows, in a transaction. With `over`, replace anything that is stored already.
        Without, a ticket's first row may be inserted, which costs half of an upsert."""

    @abstractmethod
    def _key(self, id_: Any) -> Key | None:
        """The key of the row with an `_id`; None if no row of ours can have it."""

    @abstractmethod
    def _id(self, key: Key) -> Any:
        """The `_id` of the row with a key."""

    @abstractmethod
    def _row(self, document: Document) -> Row | None:
        """The row, or None if the document is not exactly as this program stores it. May raise."""

    @abstractmethod
    def _load(self, rows: Sequence[Row]) -> None:
        """Store rows of different tickets, or of different events in order."""

    def checkpoint(self) -> int:
        with answering():
            document = self._checkpoints.find_one({"_id": self.name}, {"position": 1})
        return int(document["position"]) if document else 0

    def take_over(self, fence: int) -> int:
        with answering():
            self._end_former(fence)
            session = self._client.start_session()
            self._sessions = {fence: session}
            document = self._checkpoints.find_one_and_update(
                {"_id": self.name, "fence": {"$lte": fence}},
                {
                    "$set": {"fence": fence, "session": session.session_id["id"]},
                    "$inc": {"writes": 1},
                },
                return_document=ReturnDocument.AFTER,
            )
        if document is None:
            raise self._fenced(fence)
        return int(document["position"])

    def _end_former(self, fence: int) -> None:
        """End the session of the writer before, in case it left a transaction open."""
        document = self._checkpoints.find_one({"_id": self.name}, {"fence": 1, "session": 1})
        if document and document["fence"] <= fence and "session" in document:
            with suppress(OperationFailure):  # not permitted: MongoDB ends it in a minute
                session = Binary.from_uuid(document["session"])
                self._client.admin.command("killSessions", [{"id": session}])

    def parked(self) -> Mapping[str, Parked]:
        with answering():
            return {
                document["_id"]["ticketId"]: Parked(
                    ticket_id=document["_id"]["ticketId"],
                    position=document["position"],
                    error=document["error"],
                    since=document["since"],
                )
                for document in self._parked.find({"_id.view": self.name})
            }

    def apply(self, change: ViewChange[Row], fence: int) -> None:
        def work(session: ClientSession, over: bool = False) -> None:
            self._advance(
                fence,
                {"position": change.after},
                {"position": change.upto},
                session,
            )
            if change.rows:
                self._write(change.rows, session, over=over)
            if change.parked or change.released:
                self._park(change, session)

        try:
            self._transaction(work, fence)
        except Conflicting:
            # something else wrote into the view; the log prevails
            self._transaction(partial(work, over=True), fence)

    def loaded(self) -> Mapping[int, int]:
        with answering():
            document = self._checkpoints.find_one({"_id": self.name}, {"shares": 1}) or {}
        return {
            int(partition): position for partition, position in document.get("shares", {}).items()
        }

    def load(
        self, partition: int, upto: int, rows: Sequence[tuple[str, Row]], parked: Sequence[Parked]
    ) -> None:
        with answering():
            for start in range(0, len(rows), _CHUNK):
                self._load([row for _, row in rows[start : start + _CHUNK]])
            if parked:
                self._parked.bulk_write(
                    [self._parked_document(parked_ticket) for parked_ticket in parked]
                )
            self._checkpoints.update_one(
                {"_id": self.name, "position": 0}, {"$set": {f"shares.{partition}": upto}}
            )

    def complete(self, upto: int) -> None:
        with answering(), pymongo.timeout(_INDEXING):  # longer than the timeout of the connection
            self._rows.create_indexes(list(self.indexes))
            self._checkpoints.update_one(
                {"_id": self.name, "position": 0}, {"$set": {"position": upto}}
            )

    def rows(self) -> Iterator[tuple[Key, Row | None]]:
        above: Document = {}
        with answering():
            # in pages: a cursor does not survive a change of primary
            while page := list(self._anything.find(above).sort("_id", 1).limit(_CHUNK)):
                yield from map(self._readable, page)
                above = {"$expr": {"$gt": ["$_id", {"$literal": page[-1]["_id"]}]}}

    def stored(self, keys: Collection[Key]) -> Mapping[Key, Row | None]:
        with answering():
            documents = self._anything.find({"_id": {"$in": self._ids(keys)}})
            return dict(map(self._readable, documents))

    def misfiled(self) -> Iterator[Key]:
        return iter(())  # the only search keys beside the rows are the server's indexes

    def _readable(self, document: Document) -> tuple[Key, Row | None]:
        """A document's key and its row, or None in place of a row that something else wrote."""
        key = self._key(document["_id"])
        if key is None:
            return ForeignKey.of(document["_id"]), None
        try:
            return key, self._row(document)
        except (AttributeError, BSONError, OverflowError, StoreCorrupt, TypeError, ValueError):
            return key, None

    def _ids(self, keys: Iterable[Key]) -> list[Any]:
        return [key.id if isinstance(key, ForeignKey) else self._id(key) for key in keys]

    def mend(self, rows: Mapping[Key, Row | None], fence: int) -> None:
        def work(session: ClientSession) -> None:
            self._advance(fence, {}, {}, session)
            self._rows.delete_many({"_id": {"$in": self._ids(rows)}}, session=session)
            right = [(key, row) for key, row in rows.items() if row is not None]
            if right:
                self._write(right, session, over=True)

        self._transaction(work, fence)

    def _advance(
        self, fence: int, expected: Document, values: Document, session: ClientSession | None = None
    ) -> None:
        moved = self._checkpoints.update_one(
            {"_id": self.name, "fence": {"$lte": fence}} | expected,
            {"$set": {"fence": fence} | values, "$inc": {"writes": 1}},
            session=session,
        )
        if not moved.matched_count:
            raise self._fenced(fence)

    def _fenced(self, fence: int) -> Fenced:
        return Fenced(
            f"The projection {self.name} was written by another runner: "
            f"fence {fence} is too low, or the checkpoint has moved."
        )

    def _park(self, change: ViewChange[Row], session: ClientSession) -> None:
        released = [{"view": self.name, "ticketId": ticket_id} for ticket_id in change.released]
        writes: list[DeleteMany | ReplaceOne[Document]] = []
        if released:
            writes.append(DeleteMany({"_id": {"$in": released}}))
        for parked in change.parked:
            writes.append(self._parked_document(parked))
        self._parked.bulk_write(writes, session=session)

    def _parked_document(self, parked: Parked) -> ReplaceOne[Document]:
        return ReplaceOne(
            {"_id": {"view": self.name, "ticketId": parked.ticket_id}},
            {"position": parked.position, "error": parked.error, "since": parked.since},
            upsert=True,
        )

    def _transaction(self, work: Callable[[ClientSession], None], fence: int) -> None:
        with ExitStack() as stack:
            stack.enter_context(answering())
            stack.enter_context(pymongo.timeout(PATIENCE))
            session = self._sessions.get(fence)
            if session is None:
                session = stack.enter_context(self._client.start_session())
            session.with_transaction(work, read_concern=SETTLED, write_concern=DURABLE)
