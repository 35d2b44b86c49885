"""The ordered log on MongoDB: one document per commit, positions claimed through its `_id`.

A commit is one document `{_id: first position, last, by, events: […], answers: […]}`. To insert one
document is atomic, so a batch needs no transaction. To claim `_id = head + 1` fails with a
duplicate key if another process was first, so positions have no gaps and become visible in order:
nobody can claim n + 1 before n is visible. `by` is unique to the attempt: after a lost
acknowledgement it shows whether the stored document is ours.

Answers that do not fit into a document of events have no position: their documents have an ObjectId
for `_id`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any, Final

import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from eventsourcing.persistence import StoredEvent
from pymongo.client_session import ClientSession
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database
from pymongo.errors import PyMongoError

from domain.errors import ChainBroken, HeadMoved, StoreCorrupt, StoreUnavailable
from domain.log.chain import EMPTY, Head, Link, is_number
from infrastructure.log.ordered_log import (
    Chained,
    StoredAnswer,
    chained,
    check_batch,
)
from infrastructure.mongodb.client import DURABLE, SETTLED, Document
from infrastructure.mongodb.commits import documents_of, end_of, links, notification
from infrastructure.mongodb.conflicts import events_of, is_stored
from infrastructure.mongodb.failures import answering, explained, is_duplicate, is_transient

PATIENCE: Final = 30.0
"""Seconds for which a commit is repeated while the replica set has no primary."""

_PAUSE: Final = 0.02
"""Seconds between two tries of a commit."""

_POSITIONS_AT_ONCE: Final = 1_000
"""Most positions that one query looks for."""

_ANY_CONTENT: Final[CodecOptions[Document]] = CodecOptions(
    unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
"""Reads any stored value. A damaged one has a wrong hash anyway."""

_POSITIONED: Final = {"$and": [{"_id": {"$gt": 0}}, {"_id": {"$type": ["int", "long"]}}]}
"""Matches the commits of events: their positions are integers."""

Alongside = Callable[[ClientSession], None]
"""Further writes in the transaction of a commit. They may run again; an exception cancels the
commit."""


class MongoDBLog:
    """An `OrderedLog` in one collection of a replica set. Creates its indexes when opened, unless
    for `reading_only`."""

    def __init__(
        self,
        database: Database[Document],
        collection: str = "commits",
        patience: float = PATIENCE,
        *,
        reading_only: bool = False,
    ) -> None:
        self._client = database.client
        self._commits: MongoCollection[Document] = database[collection]
        self._patience = patience
        self._end = EMPTY  # the last known end of the log: no commit reaches across it
        if not reading_only:
            self._make_indexes()

    def _make_indexes(self) -> None:
        with answering():
            self._commits.create_index(
                [("events.id", 1), ("events.version", 1)], unique=True, sparse=True, name="streams"
            )
            self._commits.create_index("answers.key", unique=True, sparse=True, name="answers")

    def head(self) -> int:
        return self.ending().position

    def ending(self) -> Head:
        # from the last event itself, as readers see it, not from the commit's own `last`
        event = {"$cond": [{"$isArray": "$events"}, {"$last": "$events"}, None]}
        fields = {"position": "$$event.position", "hash": "$$event.hash"}
        ending = {"ending": {"$let": {"vars": {"event": event}, "in": fields}}}
        with answering():
            last = self._commits.find_one(_POSITIONED, ending, sort=[("_id", -1)])
        self._end = end = end_of(last) if last else EMPTY
        return end

    def read(
        self, after: int, limit: int, *, upto: int | None = None, topics: Sequence[str] = ()
    ) -> list[Chained]:
        if not topics and (upto is None or upto > after + limit):
            # they lie in commits that begin up to there: the server need not send others
            if events := self._read(after, limit, after + limit, topics):
                return events
            if self.head() <= after:
                return []  # else they lie beyond a gap
        return self._read(after, limit, upto, frozenset(topics))

    def _read(
        self, after: int, limit: int, upto: int | None, topics: Collection[str]
    ) -> list[Chained]:
        events: list[Chained] = []
        with _reading():
            for event in self._events(after, upto, limit):
                if len(events) == limit or (upto is not None and event["position"] > upto):
                    break
                if event["position"] > after and (not topics or event["topic"] in topics):
                    events.append(notification(event))
        return events

    def at(self, positions: Collection[int]) -> Sequence[Chained]:
        wanted = sorted(set(positions))
        events: list[Chained] = []
        with _reading():
            while wanted:  # from the last one down, each time all positions of one commit
                held = self._holding(wanted[-_POSITIONS_AT_ONCE:])
                if held:
                    wanted = [position for position in wanted if position < held["_id"]]
                    events += [notification(event) for event in reversed(held["events"]) if event]
                else:
                    wanted = []
        return events[::-1]

    def _holding(self, positions: Sequence[int]) -> Document | None:
        """The last commit that begins at or before the last of these positions, with only its
        events at these positions."""
        within = {"$and": [{"$gte": ["$$this", "$_id"]}, {"$lte": ["$$this", "$last"]}]}
        mine = {"$filter": {"input": list(positions), "cond": within}}
        index = {"$toInt": {"$subtract": ["$$this", "$_id"]}}
        events = {"$map": {"input": mine, "in": {"$arrayElemAt": ["$events", index]}, "as": "this"}}
        where = {"_id": {"$gt": 0, "$lte": positions[-1]}, "events": {"$type": "array"}}
        return self._commits.find_one(where, {"events": events}, sort=[("_id", -1)])

    def scan(self) -> Iterator[Link]:
        above, fields = {"_id": {"$gt": 0}}, {"last": 1, "events": 1}
        elsewhere = {"_id": {"$not": {"$gt": 0}}, "events": {"$exists": True}}
        position = 1
        with answering():
            last = self._commits.find_one(above, {"_id": 1}, sort=[("_id", -1)])
            within = {"_id": {"$gt": 0, "$lte": last["_id"]}} if last else above
            for commit in self._commits.with_options(_ANY_CONTENT).find(
                within, fields, sort=[("_id", 1)]
            ):
                for link in links(commit, position):
                    yield link
                    position += 1
            stray = self._commits.find_one(elsewhere, {"_id": 1})
        if stray:
            raise ChainBroken(0, f"the commit {stray['_id']!r} has events and no position.")

    def streams(self, originator_ids: Collection[Any]) -> list[Chained]:
        ids = list(originator_ids)
        return self._select({"id": {"$in": ids}}, events_of(ids))

    def stream(
        self, originator_id: Any, *, gt: int | None = None, lte: int | None = None
    ) -> list[Chained]:
        """The events of one stream with `gt < version <= lte`, by version."""
        bounds = {name: value for name, value in (("$gt", gt), ("$lte", lte)) if value is not None}
        tests = [{name: ["$$this.version", value]} for name, value in bounds.items()]
        mine = {"$and": [{"$eq": ["$$this.id", {"$literal": originator_id}]}, *tests]}
        events = self._select(
            {"id": originator_id, **({"version": bounds} if bounds else {})},
            {"$filter": {"input": "$events", "cond": mine}},
        )
        return sorted(events, key=lambda notification: notification.originator_version)

    def answers(self, keys: Collection[str]) -> Mapping[str, bytes]:
        wanted = frozenset(keys)
        with _reading():
            commits = self._commits.find({"answers.key": {"$in": list(wanted)}}, {"answers": 1})
            return {
                answer["key"]: answer["body"]
                for commit in commits
                for answer in commit["answers"]
                if answer["key"] in wanted
            }

    def commit(
        self,
        after: int,
        events: Sequence[StoredEvent],
        answers: Sequence[StoredAnswer] = (),
        *,
        alongside: Alongside | None = None,
    ) -> Sequence[bytes]:
        check_batch(events, answers)
        if not events and not answers:
            return []
        end = self._end
        if events and end.position != after:
            end = self.ending()
        if events and end.position != after:
            raise HeadMoved(f"the log does not end at {after}")
        hashes = chained(end, events)
        documents = documents_of(after, events, hashes, answers)
        deadline = monotonic() + self._patience
        while True:
            try:
                with pymongo.timeout(max(deadline - monotonic(), _PAUSE)):
                    self._insert(documents, alongside)
                break
            except PyMongoError as error:
                if is_duplicate(error):
                    if is_stored(self._commits, documents[0], events, answers):
                        break
                elif not is_transient(error):
                    raise explained(error) from error
                if monotonic() > deadline:
                    raise StoreUnavailable(
                        f"MongoDB did not confirm the commit within {self._patience:.0f} s: "
                        f"{error}. It may or may not be stored; repeat with the same key."
                    ) from error
            sleep(_PAUSE)
        if events:
            self._end = Head(after + len(events), hashes[-1])
        return hashes

    def _insert(self, documents: list[Document], alongside: Alongside | None) -> None:
        if len(documents) == 1 and alongside is None:
            self._commits.insert_one(documents[0])
            return

        def insert(session: ClientSession) -> None:
            # one by one: a message has at most 48 MB, a transaction has no limit
            for document in documents:
                self._commits.insert_one(document, session=session)
            if alongside:
                alongside(session)

        with self._client.start_session() as session:
            session.with_transaction(insert, read_concern=SETTLED, write_concern=DURABLE)

    def _select(self, where: Document, matching: Document) -> list[Chained]:
        """The events that match, by position; `matching` gives those of a commit."""
        with _reading():
            commits = self._commits.find(
                {"events": {"$elemMatch": where}},
                {"events": matching},
                sort=[("_id", 1)],
                hint="streams",
            )
            return [notification(event) for commit in commits for event in commit["events"]]

    def _events(self, after: int, upto: int | None, limit: int) -> Iterator[Document]:
        """The events of the commit that holds position `after + 1`, and of all that follow."""
        bounds = {"$gt": after} if upto is None else {"$gt": after, "$lte": upto}
        commits = self._commits.find({"_id": bounds}, {"events": 1}, sort=[("_id", 1)])
        commits.batch_size(max(2, min(limit // 32, 100)))
        first = next(commits, None)
        if after and (first is None or first["_id"] != after + 1):
            yield from self._straddling(after)
        if first is not None:
            yield from first["events"]
            for commit in commits:
                yield from commit["events"]

    def _straddling(self, after: int) -> list[Document]:
        """The events of the commit that holds both `after` and `after + 1`, if one does."""
        holder = self._commits.find_one(
            {"_id": {"$gt": 0, "$lte": after}}, {"last": 1}, sort=[("_id", -1)]
        )
        if holder is None:
            return []
        last = holder.get("last")
        if is_number(last) and last <= after:
            return []
        commit = self._commits.find_one({"_id": holder["_id"]}, {"events": 1})
        return list(commit["events"]) if commit else []


@contextmanager
def _reading() -> Iterator[None]:
    """Raise `StoreCorrupt` where a document is no commit any more."""
    with answering():
        try:
            yield
        except (AttributeError, KeyError, TypeError) as error:
            raise StoreCorrupt(
                "A commit of the log cannot be read any more. Run ticketbook audit verify, which "
                "names its position, and restore it from a backup."
            ) from error
