"""One SQLite file, shared by the log and the views."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, Final

from domain.errors import ConfigurationError, StoreTooNew, StoreTooOld
from infrastructure.sqlite.connection import Connection, connect
from infrastructure.sqlite.failures import answering
from infrastructure.sqlite.files import StoreFiles

SCHEMA: Final = 2
"""Version of the tables, kept in the file's `user_version`."""

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

    A connection that was in use when anything was raised is closed, and never used again: an
    exception may hold a cursor, and with it an old snapshot.
    Every transaction raises `StoreUnavailable` once the path leads to another file.
    """

    def __init__(self, path: Path, *, reading_only: bool = False) -> None:
        self.path = path
        self._idle: SimpleQueue[Connection] = SimpleQueue()
        self._opened: list[Connection] = []
        self._opening = Lock()
        self._turn = Lock()
        self._anchor: Connection | None = None  # stays open: SQLite removes the files beside the
        self._writers: dict[bool, Connection] = {}  # store's with its last connection
        if not reading_only:
            _make_private(path)
        self._files = StoreFiles(path)
        try:
            with answering(path):
                self._anchor = self._connect()
                self._check_version(self._anchor)
                if not reading_only:
                    self._anchor.executescript(_TABLES)
                    self._anchor.execute(f"PRAGMA user_version={SCHEMA}")
            self._files.note()
        except BaseException:
            self.close()
            raise

    def create(self, tables: str) -> None:
        """Run `CREATE … IF NOT EXISTS` statements."""
        with self._turn, answering(self.path), self._writing() as connection:
            connection.executescript(tables)

    @contextmanager
    def writing(self, *, lasting: bool = True) -> Iterator[Connection]:
        """A transaction that holds the write lock; committed durably unless the block raises.
        With `lasting` False a power cut may undo it, together with all that came after it."""
        with self._turn, answering(self.path), self._writing(lasting=lasting) as connection:
            self._files.check()
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
            self._files.check()  # else it is told that what is lost was stored

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction: one consistent snapshot of the committed data."""
        # a pool, not a connection per thread: threads come and go, and would leave theirs open
        with answering(self.path):
            self._files.check()
            try:
                connection = self._idle.get_nowait()
            except Empty:
                connection = self._connect()
            with self._lent(connection):
                connection.execute("BEGIN")
                yield connection
                connection.settle()
                connection.execute("COMMIT")
            self._idle.put(connection)

    def check(self) -> None:
        """Raise `StoreUnavailable` if the path leads to another file than the one that is open."""
        self._files.check()

    def close(self) -> None:
        """Close every connection. Nothing may be in use."""
        with self._opening:
            for connection in self._opened:
                connection.close()
            self._opened.clear()

    @contextmanager
    def _writing(self, *, lasting: bool = True) -> Iterator[Connection]:
        """A connection for writing. If not `lasting`, it does not wait for the disk: for what is
        computed from the log alone.

        The log stays durable. Its own connection syncs the write-ahead log at each of its commits,
        and with that all earlier frames, whoever wrote them; SQLite also syncs it before a
        checkpoint. Frames are replayed in order up to the first gap, so a power cut takes away the
        last steps of views and no event that was acknowledged. A view's checkpoint moves in the
        same transaction as its rows, so the runner applies again precisely the steps that are gone.
        """
        connection = self._writers.pop(lasting, None)
        if connection is None:
            connection = self._connect()
            connection.execute(f"PRAGMA cache_size=-{_WRITER_KIB}")
            if not lasting:
                connection.execute("PRAGMA synchronous=NORMAL")
        with self._lent(connection):
            yield connection
            connection.settle()
        self._writers[lasting] = connection

    @contextmanager
    def _lent(self, connection: Connection) -> Iterator[Connection]:
        """Close the connection if anything is raised; that also rolls back."""
        try:
            yield connection
        except BaseException:
            with self._opening:
                if connection in self._opened:
                    self._opened.remove(connection)
            connection.close()
            raise

    def _connect(self) -> Connection:
        connection = connect(self.path)
        with self._opening:
            self._opened.append(connection)
        return connection

    def _check_version(self, connection: Connection) -> None:
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


def _make_private(path: Path) -> None:
    """Make the file and its folder if there are none, readable by their owner only. SQLite gives
    the files beside it the same rights. The rights of an existing file stay as they are."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The folder of the SQLite store cannot be made: {error}"
        ) from error
    with suppress(OSError):  # it exists, or SQLite will report the error
        path.touch(mode=0o600, exist_ok=False)
