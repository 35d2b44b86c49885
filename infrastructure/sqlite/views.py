"""What the views on SQLite share: checkpoint, fence, parked tickets and the transaction."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from sqlite3 import Connection
from typing import Any, ClassVar, Final, Generic

from domain.errors import Fenced
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.moments import from_milliseconds, to_milliseconds
from projections.projection import Change, Key, Parked, Row

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
"""Rows in one transaction while a version is loaded: short ones, as others wait to commit."""

_DERIVED: Final = 20_000
"""Rows whose features are derived in one transaction."""

_PARK: Final = "INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?, ?)"


class SQLiteView(ABC, Generic[Row]):
    """The half of a `View` that does not depend on what its rows are: one version, in the table
    `{projection}_{version}` and one beside it for the features."""

    _tables: ClassVar[str]
    """`CREATE … IF NOT EXISTS`, with `{rows}` and `{features}` for the names of the tables."""

    _indexes: ClassVar[Sequence[str]]
    """What only readers need, one statement each."""

    _derive: ClassVar[str]
    """Fills `{features}` from the rows whose `{key}` is above `:above` and at most `:upto`."""

    _key: ClassVar[str]
    """The column that holds a row's key."""

    def __init__(self, database: SQLiteDatabase, projection: str, version: int) -> None:
        self.name = f"{projection}@{version}"
        self._database = database
        self._rows = f"{projection}_{version}"
        self._features = f"{self._rows}_features"

    def create(self, *, indexed: bool) -> None:
        """Make what is missing of it. A version that is to be built in bulk gets what only readers
        need when it is complete: that costs a fraction of keeping it up."""
        statements = [self._tables, *(self._indexes if indexed else ())]
        self._database.create(
            _TABLES
            + self._named("; ".join(statements))
            + f"; INSERT OR IGNORE INTO checkpoints VALUES ('{self.name}', 0, 0);"
        )

    def _named(self, statement: str) -> str:
        return statement.format(rows=self._rows, features=self._features, key=self._key)

    def drop(self) -> None:
        """Delete all that is stored of it."""
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
        """Delete whatever stands under the keys, in a transaction."""

    @abstractmethod
    def _load(self, rows: Sequence[Row], connection: Connection) -> None:
        """Store the rows alone, where they are further on than what is there."""

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
            return {
                ticket_id: Parked(ticket_id, position, error, from_milliseconds(since))
                for ticket_id, position, error, since in connection.execute(query, (self.name,))
            }

    def apply(self, change: Change[Row], fence: int) -> None:
        with self._database.writing() as connection:
            self._advance(connection, fence, after=change.after, upto=change.upto)
            self._write(change.rows, connection)
            connection.executemany(
                "DELETE FROM parked WHERE view = ? AND ticket_id = ?",
                [(self.name, ticket_id) for ticket_id in change.released],
            )
            connection.executemany(_PARK, [self._parking(one) for one in change.parked])

    def _parking(self, p: Parked) -> tuple[str, str, int, str, int]:
        return (self.name, p.ticket_id, p.position, p.error, to_milliseconds(p.since))

    def loaded(self) -> Mapping[int, int]:
        query = "SELECT share, position FROM shares WHERE view = ?"
        with self._database.reading() as connection:
            return dict(connection.execute(query, (self.name,)).fetchall())

    def load(
        self, share: int, upto: int, rows: Sequence[tuple[str, Row]], parked: Sequence[Parked]
    ) -> None:
        for start in range(0, len(rows), _CHUNK):
            with self._database.writing() as connection:
                self._load([row for _, row in rows[start : start + _CHUNK]], connection)
        with self._database.writing() as connection:
            connection.executemany(_PARK, [self._parking(one) for one in parked])
            connection.execute(
                "INSERT OR REPLACE INTO shares VALUES (?, ?, ?)", (self.name, share, upto)
            )

    def complete(self, upto: int) -> None:
        # a little at a time: others wait to commit
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

    def mend(self, rows: Mapping[Key, Row | None], fence: int) -> None:
        with self._database.writing() as connection:
            position = self._checkpoint(connection)
            self._advance(connection, fence, after=position, upto=position)
            self._remove(list(rows), connection)
            self._write([(key, row) for key, row in rows.items() if row is not None], connection)

    def _checkpoint(self, connection: Connection) -> int:
        query = "SELECT position FROM checkpoints WHERE view = ?"
        found = connection.execute(query, (self.name,)).fetchone()
        return int(found[0]) if found else 0

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
