"""The recorders that `eventsourcing` asks of a persistence module, for followers of events."""

from collections.abc import Sequence
from threading import Event
from time import monotonic
from typing import Any, Final

from eventsourcing.persistence import (
    IntegrityError,
    ProcessRecorder,
    StoredEvent,
    Tracking,
    TrackingRecorder,
    WaitInterruptedError,
)
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from domain.errors import HeadMoved
from infrastructure.log.ordered_log import StreamTaken
from infrastructure.mongodb.client import Document
from infrastructure.mongodb.library_errors import translating_errors
from infrastructure.mongodb.recorders import MongoDBApplicationRecorder

_FIRST_PAUSE: Final = 0.002
"""Seconds between the first two looks at a tracking position; the pause doubles each time."""

_LONGEST_PAUSE: Final = 0.1
"""Most seconds between two looks at a tracking position."""


class MongoDBTrackingRecorder(TrackingRecorder):
    """The position to which each upstream application has been processed: one document each.

    A subclass that keeps a view calls `track` in the transaction that writes the view.
    """

    def __init__(self, database: Database[Document], collection: str) -> None:
        self._trackings = database[collection]
        with translating_errors():  # a transaction should not have to create it
            self._trackings.create_index("position")

    def insert_tracking(self, tracking: Tracking) -> None:
        with translating_errors():
            self.track(tracking)

    def track(self, tracking: Tracking, session: ClientSession | None = None) -> None:
        """Store the position, in the session's transaction if there is one. Raises `IntegrityError`
        when the application is tracked to it or beyond already."""
        name, position = tracking.application_name, tracking.notification_id
        try:
            # a document at `position` or beyond does not match: the insert then fails
            self._trackings.update_one(
                {"_id": name, "position": {"$lt": position}},
                {"$set": {"position": position}},
                upsert=True,
                session=session,
            )
        except DuplicateKeyError as error:
            raise IntegrityError(f"{name} is tracked to {position} or beyond already") from error

    def max_tracking_id(self, application_name: str) -> int | None:
        with translating_errors():
            document = self._trackings.find_one({"_id": application_name})
        return int(document["position"]) if document else None

    def wait(
        self,
        application_name: str,
        notification_id: int | None,
        timeout: float = 1.0,
        interrupt: Event | None = None,
    ) -> None:
        deadline = monotonic() + timeout
        interrupt = interrupt or Event()
        pause = _FIRST_PAUSE
        while not self.has_tracking_id(application_name, notification_id):
            remaining = deadline - monotonic()
            if remaining <= 0:
                raise TimeoutError(
                    f"{application_name} was not processed to {notification_id} "
                    f"within {timeout} seconds"
                )
            if interrupt.wait(min(pause, remaining)):
                raise WaitInterruptedError
            pause = min(pause * 2, _LONGEST_PAUSE)


class MongoDBProcessRecorder(MongoDBTrackingRecorder, MongoDBApplicationRecorder, ProcessRecorder):
    """New events and the tracking of the event they follow from, in one transaction."""

    def __init__(
        self, database: Database[Document], collection: str, tracking_collection: str
    ) -> None:
        MongoDBTrackingRecorder.__init__(self, database, tracking_collection)
        MongoDBApplicationRecorder.__init__(self, database, collection)

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        tracking: Tracking | None = None,
        **kwargs: Any,
    ) -> Sequence[int]:
        if tracking is None:
            return super().insert_events(stored_events, **kwargs)
        if not stored_events:
            self.insert_tracking(tracking)
            return []
        with translating_errors():
            return self._insert_tracked(stored_events, tracking)

    def _insert_tracked(
        self, stored_events: Sequence[StoredEvent], tracking: Tracking
    ) -> Sequence[int]:
        while True:
            after = self._log.head()
            try:
                self._log.commit(
                    after,
                    stored_events,
                    alongside=lambda session: self.track(tracking, session),
                )
            except StreamTaken:
                raise
            except HeadMoved:
                continue
            return range(after + 1, after + 1 + len(stored_events))
