"""Hearing which records of the old system change, by a change stream that only reads.

A change stream of MongoDB (https://www.mongodb.com/docs/manual/changeStreams/) tells in which order
records changed; their content is read afterwards, as it is by then. So a record that changed
many times in a moment is taken over once, and nothing that is taken over is older than its change.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

import bson
from bson import json_util
from bson.raw_bson import RawBSONDocument
from pymongo import ReadPreference
from pymongo.change_stream import CollectionChangeStream
from pymongo.collection import Collection
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from domain.errors import FollowedTooLate, SourceGone, SourceUnusable
from infrastructure.migration.bson import id_of
from infrastructure.migration.reading import reading, up_to_date
from infrastructure.old_records import OLD_RECORDS

MOST: Final = 1_000
"""Most changes that are handed over together."""

GATHER: Final = 0.5
"""Seconds in which changes gather, at most."""

_WAIT: Final = 0.1
"""Seconds to wait for a change when there is none."""

_ENDINGS: Final = ("drop", "rename", "dropDatabase", "invalidate")

_NO_CHANGE_STREAMS: Final = 40573

_LOST: Final = frozenset(
    {
        9,  # FailedToParse: not a token of this server
        136,  # CappedPositionLost
        260,  # InvalidResumeToken
        280,  # ChangeStreamFatalError: the token was not found
        286,  # ChangeStreamHistoryLost
        40647,  # a token without data
    }
)

_PIPELINE: Final = [
    {"$project": {"documentKey": 1, "operationType": 1, "clusterTime": 1, "wallTime": 1}}
]


@dataclass(frozen=True, slots=True)
class SourceChange:
    """A record that changed: its `_id`, and all of it as it stands now, or None when it is gone."""

    id: Any
    record: bytes | None


@dataclass(frozen=True, slots=True)
class Heard:
    """The changes since the batch before.

    - `token`: where to go on after this batch.
    - `lag`: seconds since the last of the changes was made, by the old system's clock; 0.0 when
      nothing is waiting.
    - `idle`: whether there was nothing to hear, and nothing acknowledged by the old system that
      could still become a change.
    """

    changes: Sequence[SourceChange]
    token: str
    lag: float
    idle: bool


class Changes:
    """The changes of one collection after a place in its history."""

    def __init__(
        self, collection: Collection[RawBSONDocument], stream: CollectionChangeStream[Any]
    ) -> None:
        self._collection = collection
        self._stream = stream

    @property
    def token(self) -> str:
        """The place reached: all changes that were handed over are before it."""
        return json_util.dumps(self._stream.resume_token)

    def hear(self) -> Heard:
        """The changes, at once; or none, after a moment. Raises `FollowedTooLate`,
        `SourceGone`, `StoreUnavailable`."""
        with reading(self._collection.full_name), _explaining():
            settled, now = self._settled()
            ids, last = self._gather()
            changes = read(self._collection, ids.values())
        lag = max((now - last).total_seconds(), 0.0) if last else 0.0
        return Heard(changes, self.token, lag, idle=not ids and settled)

    def _gather(self) -> tuple[dict[bytes, Any], datetime | None]:
        """Which records changed, by the bytes of their `_id`; and when the last of them did."""
        ids: dict[bytes, Any] = {}
        last: datetime | None = None
        until = monotonic() + GATHER
        while len(ids) < MOST and (not ids or monotonic() < until):
            change = self._stream.try_next()
            if change is None:
                break
            if change["operationType"] in _ENDINGS:
                raise SourceGone(
                    f"The collection {self._collection.name} of the old system was dropped or "
                    "renamed. No ticket was retired for that. If the collection comes back, start "
                    "following again: that compares all of it first."
                )
            if "documentKey" in change:  # an index or a view may have been made as well
                record_id = change["documentKey"]["_id"]
                ids[bson.encode({"_id": record_id})] = record_id
                last = _made(change)
        return ids, last

    def _settled(self) -> tuple[bool, datetime]:
        """Whether all acknowledged writes are on a majority, where the stream can see them; and
        the time there."""
        hello = self._collection.database.client.admin.command("hello")
        last = hello.get("lastWrite")  # a router of a sharded cluster has none
        settled = not last or last["majorityOpTime"]["ts"] >= last["opTime"]["ts"]
        return settled, hello["localTime"].replace(tzinfo=UTC)


@contextmanager
def listening(
    collection: Collection[RawBSONDocument], token: str | None = None
) -> Iterator[Changes]:
    """The changes after `token`, or from now on.

    Raises `FollowedTooLate` when the old system does not remember what happened since the token,
    `SourceUnusable`, `StoreUnavailable`.
    """
    settled = _settled_reads(collection)
    place = json_util.loads(token) if token else None
    with reading(collection.full_name), _explaining():
        readable = settled.with_options(OLD_RECORDS)
        stream = readable.watch(
            _PIPELINE, resume_after=place, max_await_time_ms=round(_WAIT * 1000)
        )
    with stream:
        yield Changes(settled, stream)


def read(collection: Collection[RawBSONDocument], ids: Iterable[Any]) -> list[SourceChange]:
    """The records of these ids as they stand now, in the order of the ids."""
    wanted = {bson.encode({"_id": record_id}): record_id for record_id in ids}
    if not wanted:
        return []
    client = collection.database.client
    with reading(collection.full_name), up_to_date(client) as session:
        where = {"_id": {"$in": list(wanted.values())}}
        cursor = _settled_reads(collection).find(where, session=session)
        raw = (bytes(record.raw) for record in cursor)
        records = {bson.encode({"_id": id_of(record)}): record for record in raw}
    return [SourceChange(record_id, records.get(key)) for key, record_id in wanted.items()]


def _settled_reads(collection: Collection[RawBSONDocument]) -> Collection[RawBSONDocument]:
    return collection.with_options(
        read_concern=ReadConcern("majority"), read_preference=ReadPreference.PRIMARY
    )


@contextmanager
def _explaining() -> Iterator[None]:
    try:
        yield
    except OperationFailure as error:
        if error.code == _NO_CHANGE_STREAMS:
            raise SourceUnusable(
                "The old system's MongoDB is not a replica set, so its changes cannot be "
                "followed. Start it as a replica set of one member, or stop the writers of the old "
                "system and take what they changed over with ticketbook migrate run."
            ) from error
        if error.code in _LOST:
            raise FollowedTooLate(
                "The old system no longer remembers all that changed since it was last followed."
            ) from error
        raise


def _made(change: Any) -> datetime:
    """When the change was made; servers before 6.0 tell the second."""
    wall: datetime | None = change.get("wallTime")
    if wall is None:
        made: datetime = change["clusterTime"].as_datetime()
        return made
    return wall.replace(tzinfo=UTC)
