"""Following a recorder's notifications as they are recorded, by this process or another."""

from collections import deque
from collections.abc import Sequence
from threading import Event
from typing import Final, Generic, TypeVar

from eventsourcing.persistence import ApplicationRecorder, Notification, Subscription

from infrastructure.mongodb.watch import MongoDBWatcher

PAGE: Final = 500
"""Most notifications selected at a time."""

Recorder = TypeVar("Recorder", bound=ApplicationRecorder)


class MongoDBSubscription(Subscription[Recorder], Generic[Recorder]):
    """Notifications in order, forever: woken by a change stream, with a poll behind it.

    Iterating raises what selecting raises. `stop` may be called from any thread, and soon ends
    an iteration that waits.
    """

    def __init__(
        self,
        recorder: Recorder,
        watcher: MongoDBWatcher,
        gt: int | None = None,
        topics: Sequence[str] = (),
    ) -> None:
        super().__init__(recorder, gt, topics)
        self._after = gt or 0
        self._ready: deque[Notification] = deque()
        self._stopped = Event()
        self._changes = watcher.changes(self._stopped)

    def stop(self) -> None:
        super().stop()
        self._stopped.set()

    def __next__(self) -> Notification:
        while not self._stopped.is_set():
            if self._ready:
                return self._ready.popleft()
            if not self._select():
                next(self._changes, None)
        self._changes.close()
        raise StopIteration

    def _select(self) -> bool:
        """Fetch the next notifications of the topics. False if the log has no more events."""
        head = self._recorder.max_notification_id() or 0
        if head <= self._after:
            return False
        notifications = self._recorder.select_notifications(
            self._after, PAGE, head, self._topics, inclusive_of_start=False
        )
        self._after = notifications[-1].id if len(notifications) == PAGE else head
        self._ready.extend(notifications)
        return True
