"""Noticing the changes of other processes, by the file system's notifications."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Final

from infrastructure.sqlite.database import SQLiteDatabase

_STEP: Final = 10
"""Milliseconds between two looks at the notifications; also the time in which a burst gathers."""


class SQLiteWatcher:
    """A `Watcher` on the database's file and its write-ahead log, with a poll behind it."""

    def __init__(self, database: SQLiteDatabase, poll: float = 0.5) -> None:
        path = database.path.absolute()
        self._folder = path.parent
        self._names = {path.name, f"{path.name}-wal"}
        self._poll = poll

    def changes(self, stop: Event) -> Iterator[None]:
        while not stop.is_set():
            try:
                yield from self._notified(stop)
            except (OSError, RuntimeError):  # the folder cannot be watched now: the poll remains
                if not stop.wait(self._poll):
                    yield

    def _notified(self, stop: Event) -> Iterator[None]:
        from watchfiles import watch  # most commands watch nothing

        due = 0.0
        for changed in watch(
            self._folder,
            watch_filter=None,
            recursive=False,
            stop_event=stop,
            step=_STEP,
            debounce=5 * _STEP,
            rust_timeout=round(self._poll * 1000),
            yield_on_timeout=True,
        ):
            ours = any(Path(path).name in self._names for _, path in changed)
            if ours or monotonic() >= due:
                due = monotonic() + self._poll
                yield
