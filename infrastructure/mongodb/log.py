"""The ordered log on MongoDB: one document per commit, positions claimed through its `_id`.

A commit is one document `{_id: first position, last, by, events: […], answers: […]}`. Inserting
one document is atomic, so a batch needs no transaction; claiming `_id = head + 1` fails with a
duplicate key if anybody else was first, so positions have no gaps and become visible in order:
nobody can claim n + 1 before having seen n. `by` is unique to the attempt: after a lost
acknowledgement it tells whether the document that stands there is ours.

Answers without events have no position; they are documents with an ObjectId for `_id`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from time import monotonic, sleep
from typing import Any, Final

from bson import ObjectId
from eventsourcing.persistence import Notification, StoredEvent
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from domain.errors import HeadMoved, StoreUnavailable
from infrastructure.mongodb.client import DURABLE, SETTLED, Document, answering, is_transient
from infrastructure.ordered_log import KeyTaken, StoredAnswer, StreamTaken, repeated

COMMIT_BYTES: Final = 8 * 1024 * 1024
"""A commit of more event bytes than this is spread over several documents, in a transaction:
MongoDB documents end at 16 MB."""

PATIENCE: Final = 30.0
"""Seconds a commit keeps trying while the replica set has no primary."""

_PAUSE: Final = 0.02


class MongoDBLog:
    """An `OrderedLog` in one collection of a replica set. Creates its indexes when opened."""

    def __init__(
        self, database: Database[Document], collection: str = "commits", patience: float = PATIENCE
    ) -> None:
        self._client = database.client
        self._commits: MongoCollection[Document] = database[collection]
        self._patience = patience
        with answering():
            self._commits.create_index(
                [("events.id", 1), ("events.version", 1)], unique=True, sparse=True, name="streams"
            )
            self._commits.create_index("answers.key", unique=True, sparse=True, name="answers")

    def head(self) -> int:
        with answering():
            last = self._commits.find_one({"_id": {"$gt": 0}}, {"last": 1}, sort=[("_id", -1)])
        return int(last["last"]) if last else 0

    def read(
        self, after: int, limit: int, *, upto: int | None = None, topics: Sequence[str] = ()
    ) -> list[Notification]:
        found: list[Notification] = []
        wanted = frozenset(topics)
        with answering():
            for event in self._events(after, upto, limit):
                if len(found) == limit or (upto is not None and event["position"] > upto):
                    break
                if event["position"] > after and (not wanted or event["topic"] in wanted):
                    found.append(_notification(event))
        return found

    def streams(self, originator_ids: Collection[Any]) -> list[Notification]:
        ids = list(originator_ids)
        mine = {"$filter": {"input": "$events", "cond": {"$in": ["$$this.id", ids]}}}
        with answering():
            commits = self._commits.find(
                {"events.id": {"$in": ids}}, {"events": mine}, sort=[("_id", 1)], hint="streams"
            )
            return [_notification(event) for commit in commits for event in commit["events"]]

    def answers(self, keys: Collection[str]) -> Mapping[str, bytes]:
        wanted = frozenset(keys)
        with answering():
            commits = self._commits.find({"answers.key": {"$in": list(wanted)}}, {"answers": 1})
            return {
                answer["key"]: answer["body"]
                for commit in commits
                for answer in commit["answers"]
                if answer["key"] in wanted
            }

    def commit(
        self, after: int, events: Sequence[StoredEvent], answers: Sequence[StoredAnswer] = ()
    ) -> None:
        if twice := repeated(events):
            raise StreamTaken(twice)
        documents = _documents(after, events, answers)
        if not documents:
            return
        deadline = monotonic() + self._patience
        while True:
            try:
                self._insert(documents)
                return
            except (DuplicateKeyError, BulkWriteError) as error:
                if not _is_duplicate(error):
                    raise
                if self._is_ours(documents[0]):
                    return
                self._refuse_taken(error, events, answers)
            except PyMongoError as error:
                if not is_transient(error):
                    raise
                if monotonic() > deadline:
                    raise StoreUnavailable(
                        f"MongoDB did not confirm the commit within {self._patience:.0f} s: "
                        f"{error}. It may or may not be stored; repeat with the same key."
                    ) from error
            if monotonic() > deadline:
                raise StoreUnavailable("MongoDB did not settle the commit in time; repeat it.")
            sleep(_PAUSE)

    def _insert(self, documents: list[Document]) -> None:
        if len(documents) == 1:
            self._commits.insert_one(documents[0])
            return
        with self._client.start_session() as session:
            session.with_transaction(
                lambda inside: self._commits.insert_many(documents, session=inside),
                read_concern=SETTLED,
                write_concern=DURABLE,
            )

    def _is_ours(self, document: Document) -> bool:
        """Whether an earlier attempt whose acknowledgement got lost was stored after all."""
        with answering():
            stored = self._commits.find_one({"_id": document["_id"]}, {"by": 1})
        if stored and stored["by"] != document["by"]:
            raise HeadMoved(f"position {document['_id']} is taken")
        return stored is not None

    def _refuse_taken(
        self,
        error: PyMongoError,
        events: Sequence[StoredEvent],
        answers: Sequence[StoredAnswer],
    ) -> None:
        """Raise what stands in the way of a commit. When that is not durable yet (it may still
        roll back) return, so that the caller tries again."""
        if taken := self._taken(events):
            raise StreamTaken(taken) from error
        if self.answers([answer.key for answer in answers]):
            raise KeyTaken("one of the keys was answered already") from error

    def _taken(self, events: Sequence[StoredEvent]) -> set[tuple[Any, int]]:
        wanted = {(event.originator_id, event.originator_version) for event in events}
        there = self.streams({event.originator_id for event in events})
        return wanted & {(event.originator_id, event.originator_version) for event in there}

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
        if holder is None or holder["last"] <= after:
            return []
        commit = self._commits.find_one({"_id": holder["_id"]}, {"events": 1})
        return list(commit["events"]) if commit else []


def _is_duplicate(error: DuplicateKeyError | BulkWriteError) -> bool:
    details = error.details or {}
    codes = [details.get("code")] + [e.get("code") for e in details.get("writeErrors", ())]
    return 11000 in codes


def _documents(
    after: int, events: Sequence[StoredEvent], answers: Sequence[StoredAnswer]
) -> list[Document]:
    kept = [{"key": answer.key, "body": answer.body} for answer in answers]
    by = ObjectId()
    if not events:
        return [{"_id": ObjectId(), "by": by, "answers": kept}] if kept else []
    documents: list[Document] = []
    size = COMMIT_BYTES
    for position, event in enumerate(events, start=after + 1):
        if size + len(event.state) > COMMIT_BYTES or not documents:
            documents.append({"_id": position, "last": position, "by": by, "events": []})
            size = 0
        size += len(event.state) + 200
        documents[-1]["last"] = position
        documents[-1]["events"].append(
            {
                "position": position,
                "id": event.originator_id,
                "version": event.originator_version,
                "topic": event.topic,
                "state": event.state,
            }
        )
    if kept:
        documents[0]["answers"] = kept
    return documents


def _notification(event: Document) -> Notification:
    return Notification(
        originator_id=event["id"],
        originator_version=event["version"],
        topic=event["topic"],
        state=event["state"],
        id=event["position"],
    )
