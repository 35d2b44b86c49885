"""The common part of the views on SQLite: checkpoint, fence, parked tickets and the transaction."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from sqlite3 import Connection, OperationalError
from typing import Any, ClassVar, Final, Generic

from domain.errors import Fenced, StoreCorrupt
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.failures import UNREADABLE
from infrastructure.sqlite.moments import from_milliseconds, to_milliseconds
from projections.running.projection import Key, Parked, Row, ViewChange

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS checkpoints (
    view TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    fence INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parked (
    view TEXT NOT NULL,
    ticket_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    error TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (view, ticket_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shares (
    view TEXT NOT NULL,
    share INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (view, share)
) WITHOUT ROWID;
"""

_CHUNK: Final = 1_000
"""Rows in one transaction while a version is loaded. Transactions are short, as others wait to
commit."""

_DERIVED: Final = 20_000
"""Rows whose features are derived in one transaction."""

_PARK: Final = "INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?, ?)"


class SQLiteView(ABC, Generic[Row]):
    """The part of a `View` that is the same for all kinds of rows: one version, in the table
    `{projection}_{version}` and one beside it for the features."""

    _tables: ClassVar[str]
    """`CREATE … IF NOT EXISTS`, with `{rows}` and `{features}` for the names of the tables."""

    _indexes: ClassVar[Sequence[str]]
    """The indexes that only readers need, one statement each."""

    _derive: ClassVar[str]
    """Fills `{features}` from the rows whose `{key}` is above `:above` and at most `:upto`."""

    _key: ClassVar[str]
    """The column that holds a row's key: the first."""

    _filing: ClassVar[Sequence[tuple[str, tuple[Any, ...]]]]
    """Queries that compare the table of features with the rows, and the place where each begins.
    They give a key, whether it is misfiled, and the place to go on."""

    def __init__(self, database: SQLiteDatabase, projection: str, version: int) -> None:
        self.name = f"{projection}@{version}"
        self._database = database
        self._rows = f"{projection}_{version}"
        self._features = f"{self._rows}_features"

    def create(self, *, indexed: bool) -> None:
        """Make the tables that do not exist yet. A version that is built in bulk gets its indexes
        and features when it is complete, at a fraction of the cost of keeping them up to date."""
        statements = [self._tables, *(self._indexes if indexed else ())]
        self._database.create(
            _TABLES
            + self._named("; ".join(statements))
            + f"; INSERT OR IGNORE INTO checkpoints VALUES ('{self.name}', 0, 0);"
        )

    def _named(self, statement: str) -> str:
        return statement.format(rows=self._rows, features=self._features, key=self._key)

    def drop(self) -> None:
        """Delete all stored data of the version."""
        with self._database.writing() as connection:
            for table in (self._rows, self._features):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            for table in ("parked", "shares", "checkpoints"):
                connection.execute(f"DELETE FROM {table} WHERE view = ?", (self.name,))

    @abstractmethod
    def latest(self, ticket_ids: Collection[str]) -> Mapping[str, Row]: ...

    @abstractmethod
    def _write(self, rows: Sequence[tuple[str, Row | None]], connection: Connection) -> None:
        """Store the rows, in a transaction."""

    @abstractmethod
    def _remove(self, keys: Sequence[Key], connection: Connection) -> None:
        """Delete whatever is stored under the keys, in a transaction."""

    @abstractmethod
    def _load(self, rows: Sequence[Row], connection: Connection) -> None:
        """Store the rows without their features, where they are newer than the stored ones."""

    @abstractmethod
    def _row(self, stored: Any) -> Row | None:
        """The row, or None if it is not exactly as this program stores it. May raise."""

    def checkpoint(self) -> int:
        with self._database.reading() as connection:
            return self._checkpoint(connection)

    def take_over(self, fence: int) -> int:
        with self._database.writing() as connection:
            position = self._checkpoint(connection)
            self._advance(connection, fence, after=position, upto=position)
            return position

    def parked(self) -> Mapping[str, Parked]:
        query = "SELECT ticket_id, position, error, since FROM parked WHERE view = ?"
        with self._database.reading() as connection:
            rows = connection.execute(query, (self.name,)).fetchall()
        return {
            ticket_id: Parked(ticket_id, position, error, from_milliseconds(since))
            for ticket_id, position, error, since in rows
        }

    def apply(self, change: ViewChange[Row], fence: int) -> None:
        with self._database.writing() as connection:
            self.write(change, fence, connection)

    def write(self, change: ViewChange[Row], fence: int, connection: Connection) -> None:
        """`apply`, in a transaction that others share. Raises `Fenced`."""
        self._advance(connection, fence, after=change.after, upto=change.upto)
        self._write(change.rows, connection)
        connection.executemany(
            "DELETE FROM parked WHERE view = ? AND ticket_id = ?",
            [(self.name, ticket_id) for ticket_id in change.released],
        )
        connection.executemany(
            _PARK, [self._parked_row(parked_ticket) for parked_ticket in change.parked]
        )

    def _parked_row(self, parked: Parked) -> tuple[str, str, int, str, int]:
        return (
            self.name,
            parked.ticket_id,
            parked.position,
            parked.error,
            to_milliseconds(parked.since),
        )

    def loaded(self) -> Mapping[int, int]:
        query = "SELECT share, position FROM shares WHERE view = ?"
        with self._database.reading() as connection:
            return dict(connection.execute(query, (self.name,)).fetchall())

    def load(
        self, partition: int, upto: int, rows: Sequence[tuple[str, Row]], parked: Sequence[Parked]
    ) -> None:
        for start in range(0, len(rows), _CHUNK):
            with self._database.writing() as connection:
                self._load([row for _, row in rows[start : start + _CHUNK]], connection)
        with self._database.writing() as connection:
            connection.executemany(
                _PARK, [self._parked_row(parked_ticket) for parked_ticket in parked]
            )
            connection.execute(
                "INSERT OR REPLACE INTO shares VALUES (?, ?, ?)", (self.name, partition, upto)
            )

    def complete(self, upto: int) -> None:
        # in short transactions, as others wait to commit
        above: Any = None
        while last := self._key_after(above):
            with self._database.writing() as connection:
                connection.execute(self._named(self._derive), {"above": above, "upto": last})
            above = last
        for index in self._indexes:
            self._database.create(self._named(index))
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE checkpoints SET position = ? WHERE view = ? AND position = 0",
                (upto, self.name),
            )

    def _key_after(self, above: Any) -> Any:
        """The last key of the next rows to derive from; None when there are no more."""
        query = self._named(
            "SELECT max({key}) FROM (SELECT {key} FROM {rows} WHERE :above IS NULL "
            f"OR {{key}} > :above ORDER BY {{key}} LIMIT {_DERIVED})"
        )
        with self._database.reading() as connection:
            (last,) = connection.execute(query, {"above": above}).fetchone()
            return last

    def rows(self) -> Iterator[tuple[Key, Row | None]]:
        first = f"SELECT * FROM {self._rows} ORDER BY 1 LIMIT {_CHUNK}"
        later = f"SELECT * FROM {self._rows} WHERE {self._key} > ? ORDER BY 1 LIMIT {_CHUNK}"
        with self._database.reading() as connection:
            page = _fetched(connection, first, ())
        yield from ((row[0], self._readable(row)) for row in page)
        if len(page) == _CHUNK:
            for row in self._paged(later, (page[-1][0],), slice(0, 1)):
                yield row[0], self._readable(row)

    def stored(self, keys: Collection[Key]) -> Mapping[Key, Row | None]:
        query = f"SELECT * FROM {self._rows} WHERE {self._key} = ?"
        with self._database.reading() as connection:
            rows = [row for key in keys for row in _fetched(connection, query, (key,))]
        return {row[0]: self._readable(row) for row in rows}

    def misfiled(self) -> Iterator[Key]:
        for query, after in self._filing:
            named = query.format(rows=self._rows, features=self._features) + f" LIMIT {_CHUNK}"
            yield from (row[0] for row in self._paged(named, after, slice(2, None)) if row[1])

    def _paged(self, query: str, after: tuple[Any, ...], place: slice) -> Iterator[Any]:
        """The rows after `after`, a page in each transaction. `place` is the slice of a row that
        gives its place."""
        page: list[Any] = [None] * _CHUNK
        while len(page) == _CHUNK:
            with self._database.reading() as connection:
                page = _fetched(connection, query, after)
            yield from page
            if len(page) == _CHUNK and after == page[-1][place]:
                raise StoreCorrupt(
                    f"{self._rows} has a key that is no text: something else wrote into it. "
                    "Rebuild the projection."
                )
            after = page[-1][place] if page else after

    def _readable(self, row: Any) -> Row | None:
        """The row, or None if it is not exactly as this program stores it."""
        try:
            return self._row(row)
        except (*UNREADABLE, StoreCorrupt):
            return None

    def mend(self, rows: Mapping[Key, Row | None], fence: int) -> None:
        with self._database.writing() as connection:
            position = self._checkpoint(connection)
            self._advance(connection, fence, after=position, upto=position)
            self._remove(list(rows), connection)
            self._write([(key, row) for key, row in rows.items() if row is not None], connection)

    def _checkpoint(self, connection: Connection) -> int:
        query = "SELECT position FROM checkpoints WHERE view = ?"
        row = connection.execute(query, (self.name,)).fetchone()
        return int(row[0]) if row else 0

    def _advance(self, connection: Connection, fence: int, *, after: int, upto: int) -> None:
        moved = connection.execute(
            "UPDATE checkpoints SET position = ?, fence = ? "
            "WHERE view = ? AND position = ? AND fence <= ?",
            (upto, fence, self.name, after, fence),
        )
        if not moved.rowcount:
            raise Fenced(
                f"The projection {self.name} was written by another runner: "
                f"fence {fence} is too low, or the checkpoint is not {after} any more."
            )


def _fetched(connection: Connection, query: str, values: Sequence[Any]) -> list[Any]:
    """All rows. Text from elsewhere that is no UTF-8 gets replacement characters."""
    try:
        return connection.execute(query, values).fetchall()
    except OperationalError as error:
        if "decode" not in str(error):
            raise
    connection.text_factory = lambda text: text.decode(errors="replace")
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.text_factory = str
