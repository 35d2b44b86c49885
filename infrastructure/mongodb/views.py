"""What the views on MongoDB share: checkpoint, fence, parked tickets and the transaction.

Each view has one document in `checkpoints`:
`{_id: name, position, fence, writes, clearing, session}`.
Every transaction of a view changes it, and counts in `writes` so that it really changes: that is
what makes two writers collide, and lets only one of them pass.

A process that is killed in the middle of a transaction leaves it open, and the checkpoint locked,
until MongoDB gives up on it a minute later. So whoever writes a view says first in which session,
and whoever takes over ends that session.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Final, Generic

import pymongo
from bson import Binary
from pymongo import DeleteMany, ReplaceOne, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from domain.errors import Fenced
from infrastructure.mongodb.client import (
    DURABLE,
    SETTLED,
    Document,
    answering,
    is_duplicate,
)
from projections.projection import Change, Parked, Row

PATIENCE: Final = 30.0
"""Seconds a transaction keeps trying while the replica set has no primary."""

SNAPSHOT: Final = ReadConcern("snapshot")
"""One moment for everything a request reads, in whatever collection; it can not roll back."""

_SWEEP: Final = 2_000
"""Documents deleted in one transaction; MongoDB aborts those that take longer than a minute."""


class MongoDBView(ABC, Generic[Row]):
    """The half of a `View` that does not depend on what its rows are."""

    def __init__(
        self, database: Database[Document], name: str, kept_in: Sequence[MongoCollection[Document]]
    ) -> None:
        self._name = name
        self._kept_in = kept_in
        self._client = database.client
        self._checkpoints = database["checkpoints"]
        self._parked = database["parked"]
        self._sessions: dict[int, ClientSession] = {}
        beginning = {"position": 0, "fence": 0, "writes": 0, "clearing": False}
        with answering():
            self._parked.create_index("_id.view")
            self._checkpoints.update_one({"_id": name}, {"$setOnInsert": beginning}, upsert=True)

    @abstractmethod
    def latest(self, ticket_ids: Collection[str]) -> Mapping[str, Row]: ...

    @abstractmethod
    def _write(
        self, rows: Sequence[tuple[str, Row | None]], session: ClientSession, *, over: bool
    ) -> None:
        """Store the rows, in a transaction. With `over` anything may be there already; without, a
        row that begins something may be inserted, which costs the server half of an upsert."""

    def checkpoint(self) -> int:
        with answering():
            found = self._checkpoints.find_one({"_id": self._name}, {"position": 1})
        return int(found["position"]) if found else 0

    def take_over(self, fence: int) -> int:
        with answering():
            self._end_former(fence)
            session = self._client.start_session()
            self._sessions = {fence: session}
            found = self._checkpoints.find_one_and_update(
                {"_id": self._name, "fence": {"$lte": fence}},
                {
                    "$set": {"fence": fence, "session": session.session_id["id"]},
                    "$inc": {"writes": 1},
                },
                return_document=ReturnDocument.AFTER,
            )
        if found is None:
            raise self._fenced(fence)
        if found["clearing"]:
            self._sweep(fence)
        return int(found["position"])

    def _end_former(self, fence: int) -> None:
        """End what the writer before left open, if anything."""
        found = self._checkpoints.find_one({"_id": self._name}, {"fence": 1, "session": 1})
        if found and found["fence"] <= fence and "session" in found:
            with suppress(OperationFailure):  # not allowed: then MongoDB ends it in a minute
                session = Binary.from_uuid(found["session"])
                self._client.admin.command("killSessions", [{"id": session}])

    def parked(self) -> Mapping[str, Parked]:
        with answering():
            return {
                found["_id"]["ticketId"]: Parked(
                    ticket_id=found["_id"]["ticketId"],
                    position=found["position"],
                    error=found["error"],
                    since=found["since"],
                )
                for found in self._parked.find({"_id.view": self._name})
            }

    def apply(self, change: Change[Row], fence: int) -> None:
        def work(session: ClientSession, over: bool = False) -> None:
            self._advance(
                fence,
                {"position": change.after, "clearing": False},
                {"position": change.upto},
                session,
            )
            if change.rows:
                self._write(change.rows, session, over=over)
            if change.parked or change.released:
                self._park(change, session)

        try:
            self._transaction(work, fence)
        except Fenced:
            if not self._unfinished(fence):
                raise
            self._sweep(fence)
            self._transaction(work, fence)
        except PyMongoError as error:
            if not is_duplicate(error):
                raise
            # something put there what only we write; what the log says prevails
            self._transaction(partial(work, over=True), fence)

    def clear(self, fence: int, renew: Callable[[], None]) -> None:
        # Not one transaction: millions of deletes would not fit. Until the last row is gone,
        # `clearing` keeps everything but the rest of the sweep out.
        with answering():
            self._advance(fence, {}, {"position": 0, "clearing": True})
        self._sweep(fence, renew)

    def _sweep(self, fence: int, renew: Callable[[], None] = lambda: None) -> None:
        """Delete all rows, some at a time, each time making sure that the fence still holds."""
        for collection in self._kept_in:
            self._empty(collection, {}, fence, renew)
        self._empty(self._parked, {"_id.view": self._name}, fence, renew)
        with answering():
            self._advance(fence, {"clearing": True}, {"clearing": False})

    def _empty(
        self,
        collection: MongoCollection[Document],
        where: Document,
        fence: int,
        renew: Callable[[], None],
    ) -> None:
        while True:
            with answering():
                ids = collection.find(where, {"_id": 1}, sort=[("_id", 1)])
                last = next(ids.skip(_SWEEP - 1).limit(1), None)
            some = where if last is None else where | {"_id": {"$lte": last["_id"]}}

            def work(session: ClientSession, some: Document = some) -> None:
                self._advance(fence, {"clearing": True}, {}, session)
                collection.delete_many(some, session=session)

            self._transaction(work, fence)
            renew()
            if last is None:
                return

    def _unfinished(self, fence: int) -> bool:
        """Whether a `clear` was interrupted that this fence may finish."""
        with answering():
            found = self._checkpoints.find_one({"_id": self._name})
        return bool(found and found["clearing"] and found["fence"] <= fence)

    def _advance(
        self, fence: int, expected: Document, values: Document, session: ClientSession | None = None
    ) -> None:
        moved = self._checkpoints.update_one(
            {"_id": self._name, "fence": {"$lte": fence}} | expected,
            {"$set": {"fence": fence} | values, "$inc": {"writes": 1}},
            session=session,
        )
        if not moved.matched_count:
            raise self._fenced(fence)

    def _fenced(self, fence: int) -> Fenced:
        return Fenced(
            f"The projection {self._name} was written by another runner: "
            f"fence {fence} is too low, or the checkpoint has moved."
        )

    def _park(self, change: Change[Row], session: ClientSession) -> None:
        released = [{"view": self._name, "ticketId": ticket_id} for ticket_id in change.released]
        writes: list[DeleteMany | ReplaceOne[Document]] = []
        if released:
            writes.append(DeleteMany({"_id": {"$in": released}}))
        for parked in change.parked:
            key = {"view": self._name, "ticketId": parked.ticket_id}
            writes.append(
                ReplaceOne(
                    {"_id": key},
                    {"position": parked.position, "error": parked.error, "since": parked.since},
                    upsert=True,
                )
            )
        self._parked.bulk_write(writes, session=session)

    def _transaction(self, work: Callable[[ClientSession], None], fence: int) -> None:
        with ExitStack() as stack:
            stack.enter_context(answering())
            stack.enter_context(pymongo.timeout(PATIENCE))
            session = self._sessions.get(fence)
            if session is None:
                session = stack.enter_context(self._client.start_session())
            session.with_transaction(work, read_concern=SETTLED, write_concern=DURABLE)
