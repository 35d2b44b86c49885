"""Following a recorder's notifications as they are recorded, by this process or another."""

from collections import deque
from collections.abc import Sequence
from threading import Event, Thread
from typing import Final, Generic, TypeVar

from eventsourcing.persistence import ApplicationRecorder, Notification, Subscription
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from infrastructure.mongodb.client import Document

PAGE: Final = 500
"""Most notifications selected at a time."""

POLL_SECONDS: Final = 1.0
"""How long a commit can go unnoticed while the change stream is down."""

_AWAIT_MILLISECONDS: Final = 500

Recorder = TypeVar("Recorder", bound=ApplicationRecorder)


class MongoDBSubscription(Subscription[Recorder], Generic[Recorder]):
    """Notifications in order, forever: woken by a change stream, with a poll behind it.

    Iterating raises what selecting raises. `stop` may be called from any thread, and ends an
    iteration that waits.
    """

    def __init__(
        self,
        recorder: Recorder,
        commits: Collection[Document],
        gt: int | None = None,
        topics: Sequence[str] = (),
    ) -> None:
        super().__init__(recorder, gt, topics)
        self._commits = commits
        self._after = gt or 0
        self._ready: deque[Notification] = deque()
        self._woken = Event()
        self._stopped = Event()
        self._watcher = Thread(target=self._watch, name=f"watch {commits.name}", daemon=True)

    def stop(self) -> None:
        super().stop()
        self._stopped.set()
        self._woken.set()

    def __next__(self) -> Notification:
        if not self._watcher.ident and not self._stopped.is_set():
            self._watcher.start()
        while not self._stopped.is_set():
            if self._ready:
                return self._ready.popleft()
            self._woken.clear()
            if not self._select() and not self._stopped.is_set():
                self._woken.wait(POLL_SECONDS)
        raise StopIteration

    def _select(self) -> bool:
        """Fetch what follows, and pass over what the topics leave out; whether anything did."""
        head = self._recorder.max_notification_id() or 0
        if head <= self._after:
            return False
        found = self._recorder.select_notifications(
            self._after, PAGE, head, self._topics, inclusive_of_start=False
        )
        self._after = found[-1].id if len(found) == PAGE else head
        self._ready.extend(found)
        return True

    def _watch(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._commits.watch(
                    [{"$match": {"operationType": "insert"}}, {"$project": {"_id": 1}}],
                    max_await_time_ms=_AWAIT_MILLISECONDS,
                ) as changes:
                    self._woken.set()  # what was committed before the stream began
                    while not self._stopped.is_set():
                        if changes.try_next():
                            self._woken.set()
            except PyMongoError:  # the poll goes on; try again when the replica set has settled
                self._stopped.wait(POLL_SECONDS)
