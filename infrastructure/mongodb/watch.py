"""Noticing the changes of other processes, by a change stream."""

from collections.abc import Generator, Sequence
from threading import Event, Thread
from time import monotonic
from typing import Final

from pymongo.database import Database
from pymongo.errors import PyMongoError

from infrastructure.mongodb.client import Document

_WATCHED: Final = ("commits", "checkpoints")
_LOOK: Final = 0.1
"""Seconds between two checks whether to stop."""
_GATHER: Final = 0.02
"""Least seconds between two items: under load, one item stands for many commits."""


class MongoDBWatcher:
    """A `Watcher` on one change stream over the log and the checkpoints (or the collections
    named), with a poll behind it."""

    def __init__(
        self,
        database: Database[Document],
        poll: float = 0.5,
        collections: Sequence[str] = _WATCHED,
    ) -> None:
        self._database = database
        self._poll = poll
        self._pipeline: list[Document] = [
            {"$match": {"ns.coll": {"$in": list(collections)}}},
            {"$project": {"_id": 1}},  # only the fact of a change: no document is sent
        ]

    def changes(self, stop: Event) -> Generator[None, None, None]:
        # A thread of its own reads the stream: all changes while the caller is busy become one
        # item, and errors of the replica set do not hold up the poll.
        heard, done = Event(), Event()
        Thread(target=self._listen, args=(heard, done), name="change-stream", daemon=True).start()
        try:
            while not stop.is_set():
                due = monotonic() + self._poll
                while not heard.wait(_LOOK) and not stop.is_set() and monotonic() < due:
                    pass
                heard.clear()
                if not stop.is_set():
                    yield
                    stop.wait(_GATHER)
        finally:
            done.set()

    def _listen(self, heard: Event, done: Event) -> None:
        while not done.is_set():
            try:
                with self._database.watch(
                    self._pipeline, max_await_time_ms=round(_LOOK * 1000)
                ) as stream:
                    heard.set()  # changes from before it was open
                    while not done.is_set():
                        if stream.try_next() is not None:
                            heard.set()
            except PyMongoError:
                done.wait(_LOOK)  # a new stream starts from now; the poll covers the gap
