"""One SQLite file, shared by the log and the views."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from time import monotonic, sleep
from typing import Any, Final

from domain.errors import (
    ConfigurationError,
    StoreCorrupt,
    StoreTooNew,
    StoreTooOld,
    StoreUnavailable,
)

SCHEMA: Final = 2
"""Version of the tables, kept in the file's `user_version`."""

_BUSY_SECONDS: Final = 10
"""Seconds to wait for writers of other processes."""

_WRITER_KIB: Final = 32 * 1024
"""KiB of memory for the pages of one transaction. Pages that do not fit are written twice."""

_VARIABLES: Final = 500
"""Most values in one `IN (…)`. SQLite allows thousands, but short statements parse faster."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    originator_id TEXT NOT NULL,
    originator_version INTEGER NOT NULL,
    topic TEXT NOT NULL,
    state BLOB NOT NULL,
    hash BLOB NOT NULL,
    UNIQUE (originator_id, originator_version)
);
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""


def marks(values: Collection[Any]) -> str:
    """A question mark per value."""
    return ", ".join("?" * len(values))


def slices(values: Collection[Any]) -> list[list[Any]]:
    """The values in lists that are short enough for one `IN (…)`."""
    every = list(values)
    return [every[start : start + _VARIABLES] for start in range(0, len(every), _VARIABLES)]


class SQLiteDatabase:
    """Connections to one file: one for writing, and one for each concurrent read. With
    `reading_only` there is none for writing, and the file is neither made nor changed.

    Writers of this process take turns on a lock, as SQLite's own busy handler sleeps and polls.
    Writers of other processes are waited for, up to ten seconds.
    """

    def __init__(self, path: Path, *, reading_only: bool = False) -> None:
        self.path = path
        self._reading_only = reading_only
        self._idle: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._opened: list[sqlite3.Connection] = []
        self._opening = Lock()
        self._turn = Lock()
        if reading_only:
            with _answering(path):
                self._check_version(self._connect())
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"The folder of the SQLite store cannot be made: {error}"
            ) from error
        _make_private(path)
        with _answering(path):
            self._writer = self._connect()
            self._writer.execute(f"PRAGMA cache_size=-{_WRITER_KIB}")
            self._check_schema()

    def create(self, tables: str) -> None:
        """Run `CREATE … IF NOT EXISTS` statements."""
        with self._turn, _answering(self.path):
            self._writer.executescript(tables)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock; committed durably unless the block raises."""
        with self._turn, _answering(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A read transaction: one consistent snapshot of the committed data."""
        # a pool, not a connection per thread: threads come and go, and would leave theirs open
        with _answering(self.path):
            try:
                connection = self._idle.get_nowait()
            except Empty:
                connection = self._connect()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")
                self._idle.put(connection)

    def close(self) -> None:
        """Close every connection. Nothing may be in use."""
        with self._opening:
            for connection in self._opened:
                connection.close()
            self._opened.clear()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        with self._opening:
            self._opened.append(connection)
        connection.create_function("casefold", 1, _casefold, deterministic=True)
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=FULL")  # acknowledged means on the disk
        return connection

    def _check_schema(self) -> None:
        self._check_version(self._writer)
        self._writer.executescript(_TABLES)
        self._writer.execute(f"PRAGMA user_version={SCHEMA}")

    def _check_version(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA:
            raise StoreTooNew(
                f"{self.path} has schema {version}; this ticketbook understands {SCHEMA}. "
                "Upgrade ticketbook, or open the file with the version that wrote it."
            )
        if 0 < version < SCHEMA:
            raise StoreTooOld(
                f"{self.path} has schema {version}, of a time before the first release; this "
                f"ticketbook understands {SCHEMA}. Start with a new file: name it in "
                "TICKETBOOK_STORE."
            )


def _casefold(text: str | None) -> str | None:
    """Fold case in all of Unicode; SQLite's own `lower` does so for ASCII only."""
    return None if text is None else text.casefold()


def _make_private(path: Path) -> None:
    """Make the file if there is none, readable by its owner only. SQLite gives the files beside it
    the same rights. The rights of an existing file stay as they are."""
    with suppress(OSError):  # it exists, or SQLite will report the error
        path.touch(mode=0o600, exist_ok=False)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn on write-ahead logging: readers and the writer do not wait for each other. SQLite fails
    at once when several processes do this to a new file together, so the call is repeated."""
    deadline = monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
        sleep(0.01)


@contextmanager
def _answering(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, with advice for the operator."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError):
        raise  # the statement is wrong, not the file
    except sqlite3.OperationalError as error:
        raise StoreUnavailable(
            f"SQLite cannot use {path}: {error}. "
            "Check that the disk has room, the folder is writable and no other process holds it."
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreCorrupt(
            f"{path} is not a SQLite database, or it is damaged: {error}. "
            "Restore it from a backup, or name another file in TICKETBOOK_STORE."
        ) from error
