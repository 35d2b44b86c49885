"""The recorders that `eventsourcing` asks of a persistence module, for events.

Originator ids may be UUIDs or text, and keep their type. The errors are the library's, see
`library_errors.py`.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID
from weakref import WeakSet

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    Notification,
    StoredEvent,
)
from pymongo.database import Database

from infrastructure.log.appender import Appender
from infrastructure.mongodb.client import DURABLE, SETTLED, Document
from infrastructure.mongodb.library_errors import translating_errors
from infrastructure.mongodb.log import MongoDBLog
from infrastructure.mongodb.subscription import MongoDBSubscription
from infrastructure.mongodb.watch import MongoDBWatcher


class MongoDBAggregateRecorder(AggregateRecorder):
    """Events of aggregates without an order between them, for snapshots: a document each."""

    def __init__(self, database: Database[Document], collection: str) -> None:
        self._client = database.client
        self._events = database[collection]
        with translating_errors():
            self._events.create_index([("id", 1), ("version", 1)], unique=True, name="streams")

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        documents = [
            {
                "id": event.originator_id,
                "version": event.originator_version,
                "topic": event.topic,
                "state": event.state,
            }
            for event in stored_events
        ]
        with translating_errors():
            if len(documents) == 1:
                self._events.insert_one(documents[0])
            elif documents:
                with self._client.start_session() as session:
                    session.with_transaction(
                        lambda inside: self._events.insert_many(documents, session=inside),
                        read_concern=SETTLED,
                        write_concern=DURABLE,
                    )

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> list[StoredEvent]:
        if limit == 0:
            return []  # to MongoDB 0 means no limit
        bounds = {name: value for name, value in (("$gt", gt), ("$lte", lte)) if value is not None}
        where = {"id": originator_id, **({"version": bounds} if bounds else {})}
        with translating_errors():
            events = self._events.find(where).sort("version", -1 if desc else 1)
            return [
                StoredEvent(event["id"], event["version"], event["topic"], event["state"])
                for event in events.limit(limit or 0)
            ]


class MongoDBApplicationRecorder(ApplicationRecorder):
    """A totally ordered log: notification ids have no gaps and become visible in their order.

    Inserts that arrive together, from any threads, are committed together.
    """

    def __init__(self, database: Database[Document], collection: str) -> None:
        self._database = database
        self._collection = collection
        with translating_errors():
            self._log = MongoDBLog(database, collection)
        self._appender = Appender(self._log, name=collection)
        self._subscriptions = WeakSet[MongoDBSubscription[MongoDBApplicationRecorder]]()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        with translating_errors():
            return self._appender.append(stored_events)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> list[StoredEvent]:
        with translating_errors():
            events = self._log.stream(originator_id, gt=gt, lte=lte)
        return [
            StoredEvent(event.originator_id, event.originator_version, event.topic, event.state)
            for event in (reversed(events) if desc else events)
        ][:limit]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = 0 if start is None else start - 1 if inclusive_of_start else start
        with translating_errors():
            return self._log.read(max(after, 0), limit, upto=stop, topics=topics)

    def max_notification_id(self) -> int | None:
        with translating_errors():
            return self._log.head() or None

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> "MongoDBSubscription[MongoDBApplicationRecorder]":
        watcher = MongoDBWatcher(self._database, collections=[self._collection])
        subscription = MongoDBSubscription(self, watcher, gt=gt, topics=topics)
        self._subscriptions.add(subscription)
        return subscription

    def close(self) -> None:
        """End every subscription, store the events that were handed over, and take no more."""
        for subscription in self._subscriptions:
            subscription.stop()
        self._appender.close()
