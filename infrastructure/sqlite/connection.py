"""One connection to a SQLite file, and the settings that the stores rely on."""

import sqlite3
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final
from weakref import WeakSet

BUSY_SECONDS: Final = 10
"""Seconds to wait for writers of other processes."""


class Connection(sqlite3.Connection):
    """A connection that knows its open cursors. One that somebody still holds keeps the snapshot
    of its transaction open, also after the end of that: later reads would show old content."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """The cursor over the rows; fetch them before decoding any."""
        cursor = self.cursor()
        self._cursors.add(cursor)
        return cursor.execute(sql, parameters)

    def settle(self) -> None:
        """End every read that was begun, so that the snapshot ends with its transaction."""
        for cursor in list(self._cursors):
            cursor.close()
        self._cursors.clear()

    def close(self) -> None:
        """Close at once, also where somebody still holds a cursor."""
        with suppress(sqlite3.Error):
            self.settle()
        super().close()


def connect(path: Path) -> Connection:
    """A connection with write-ahead logging and durable commits. Makes no file. Raises
    `sqlite3.Error`."""
    address = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(
        address,
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
    )
    try:
        connection.create_function("casefold", 1, _casefold, deterministic=True)
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=FULL")  # acknowledged means on the disk
    except BaseException:
        connection.close()
        raise
    return connection


def _casefold(text: str | None) -> str | None:
    """Fold case in all of Unicode; SQLite's own `lower` does so for ASCII only."""
    return None if text is None else text.casefold()


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn on write-ahead logging: readers and the writer do not wait for each other. SQLite fails
    at once when several processes do this to a new file together, so the call is repeated."""
    deadline = monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", None)  # the module raises some without one
            if code != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
        sleep(0.01)
