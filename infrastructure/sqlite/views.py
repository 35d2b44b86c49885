"""What the views on SQLite share: checkpoint, fence, parked tickets and the transaction."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from sqlite3 import Connection
from typing import Final, Generic

from domain.errors import Fenced
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.moments import from_milliseconds, to_milliseconds
from projections.projection import Change, Parked, Row

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
"""


class SQLiteView(ABC, Generic[Row]):
    """The half of a `View` that does not depend on what its rows are."""

    def __init__(
        self, database: SQLiteDatabase, name: str, tables: str, kept_in: Sequence[str]
    ) -> None:
        self._database = database
        self._name = name
        self._kept_in = kept_in
        database.create(
            f"{_TABLES} {tables} INSERT OR IGNORE INTO checkpoints VALUES ('{name}', 0, 0);"
        )

    @abstractmethod
    def latest(self, ticket_ids: Collection[str]) -> Mapping[str, Row]: ...

    @abstractmethod
    def _write(self, rows: Sequence[tuple[str, Row | None]], connection: Connection) -> None:
        """Store the rows, in a transaction."""

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
                for ticket_id, position, error, since in connection.execute(query, (self._name,))
            }

    def apply(self, change: Change[Row], fence: int) -> None:
        with self._database.writing() as connection:
            self._advance(connection, fence, after=change.after, upto=change.upto)
            self._write(change.rows, connection)
            connection.executemany(
                "DELETE FROM parked WHERE view = ? AND ticket_id = ?",
                [(self._name, ticket_id) for ticket_id in change.released],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?, ?)",
                [
                    (self._name, p.ticket_id, p.position, p.error, to_milliseconds(p.since))
                    for p in change.parked
                ],
            )

    def clear(self, fence: int, renew: Callable[[], None]) -> None:
        # one transaction, and quick: SQLite drops the pages of a table without a look at its rows
        with self._database.writing() as connection:
            self._advance(connection, fence, after=self._checkpoint(connection), upto=0)
            for table in self._kept_in:
                connection.execute(f"DELETE FROM {table}")
            connection.execute("DELETE FROM parked WHERE view = ?", (self._name,))

    def _checkpoint(self, connection: Connection) -> int:
        query = "SELECT position FROM checkpoints WHERE view = ?"
        (position,) = connection.execute(query, (self._name,)).fetchone()
        return int(position)

    def _advance(self, connection: Connection, fence: int, *, after: int, upto: int) -> None:
        moved = connection.execute(
            "UPDATE checkpoints SET position = ?, fence = ? "
            "WHERE view = ? AND position = ? AND fence <= ?",
            (upto, fence, self._name, after, fence),
        )
        if not moved.rowcount:
            raise Fenced(
                f"The projection {self._name} was written by another runner: "
                f"fence {fence} is too low, or the checkpoint is not {after} any more."
            )
