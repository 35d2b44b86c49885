"""What the views on MongoDB share: checkpoint, fence, parked tickets and the transaction.

Each version of a view has one document in `checkpoints`:
`{_id: "tickets@1", position, fence, writes, session, shares}`.
Every transaction of a view changes it, and counts in `writes` so that it really changes: that is
what makes two writers collide, and lets only one of them pass.

A process that is killed in the middle of a transaction leaves it open, and the checkpoint locked,
until MongoDB gives up on it a minute later. So whoever writes a view says first in which session,
and whoever takes over ends that session.
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
from pymongo.errors import OperationFailure, PyMongoError

from domain.errors import Fenced, StoreCorrupt
from infrastructure.mongodb.client import (
    DURABLE,
    SETTLED,
    Document,
    answering,
    is_duplicate,
)
from infrastructure.mongodb.exact import ANYTHING, Stranger
from projections.running.projection import Key, Parked, Row, ViewChange

PATIENCE: Final = 30.0
"""Seconds a transaction keeps trying while the replica set has no primary."""

_INDEXING: Final = 3_600.0
"""Seconds that the indexes of a version of millions of documents may take to build."""

_CHUNK: Final = 1_000
"""Rows in one request while a version is loaded."""


class MongoDBView(ABC, Generic[Row]):
    """The half of a `View` that does not depend on what its rows are: one version, in the
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
        """Make what is missing of it. A version that is to be built in bulk gets the indexes that
        only readers need when it is complete: that costs a fraction of keeping them up."""
        beginning = {"position": 0, "fence": 0, "writes": 0, "shares": {}}
        with answering():
            self._parked.create_index("_id.view")
            if indexed:
                self._rows.create_indexes(list(self.indexes))
            self._checkpoints.update_one(
                {"_id": self.name}, {"$setOnInsert": beginning}, upsert=True
            )

    def drop(self) -> None:
        """Delete all that is stored of it."""
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
        """Store the rows, in a transaction. With `over` anything may be there already; without, a
        row that begins something may be inserted, which costs the server half of an upsert."""

    @abstractmethod
    def _key(self, id_: Any) -> Key | None:
        """The key of the row under an `_id`; None when no row of ours can stand there."""

    @abstractmethod
    def _id(self, key: Key) -> Any:
        """The `_id` under which the row of a key stands."""

    @abstractmethod
    def _row(self, document: Document) -> Row | None:
        """The row, or None when the document is not exactly what we store. May raise."""

    @abstractmethod
    def _load(self, rows: Sequence[Row]) -> None:
        """Store the rows of different tickets, or those of different events in order."""

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
        """End what the writer before left open, if anything."""
        document = self._checkpoints.find_one({"_id": self.name}, {"fence": 1, "session": 1})
        if document and document["fence"] <= fence and "session" in document:
            with suppress(OperationFailure):  # not allowed: then MongoDB ends it in a minute
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
        except PyMongoError as error:
            if not is_duplicate(error):
                raise
            # something put there what only we write; what the log says prevails
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
        with answering(), pymongo.timeout(_INDEXING):  # in place of what a connection waits for
            self._rows.create_indexes(list(self.indexes))
            self._checkpoints.update_one(
                {"_id": self.name, "position": 0}, {"$set": {"position": upto}}
            )

    def rows(self) -> Iterator[tuple[Key, Row | None]]:
        above: Document = {}
        with answering():
            # in pages: a cursor would not outlive a change of primary
            while page := list(self._anything.find(above).sort("_id", 1).limit(_CHUNK)):
                yield from map(self._readable, page)
                above = {"$expr": {"$gt": ["$_id", {"$literal": page[-1]["_id"]}]}}

    def stored(self, keys: Collection[Key]) -> Mapping[Key, Row | None]:
        with answering():
            documents = self._anything.find({"_id": {"$in": self._ids(keys)}})
            return dict(map(self._readable, documents))

    def misfiled(self) -> Iterator[Key]:
        return iter(())  # nothing is kept beside the rows but indexes, and those are the server's

    def _readable(self, document: Document) -> tuple[Key, Row | None]:
        """A document's key and its row, or None when something else put there what there is."""
        key = self._key(document["_id"])
        if key is None:
            return Stranger.of(document["_id"]), None
        try:
            return key, self._row(document)
        except (AttributeError, BSONError, OverflowError, StoreCorrupt, TypeError, ValueError):
            return key, None

    def _ids(self, keys: Iterable[Key]) -> list[Any]:
        return [key.id if isinstance(key, Stranger) else self._id(key) for key in keys]

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
