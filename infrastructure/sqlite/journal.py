"""The journal on SQLite: one row per entry, which the file itself refuses to change."""

from collections.abc import Sequence
from json import dumps, loads
from typing import Any, Final

from infrastructure.journal.entries import JournalEntry
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.moments import from_milliseconds, to_milliseconds

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS journal (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    org_id TEXT,
    action TEXT NOT NULL,
    details TEXT NOT NULL,
    correlation_id TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS journal_org ON journal (org_id, number);
CREATE TRIGGER IF NOT EXISTS journal_is_kept BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal only grows'); END;
CREATE TRIGGER IF NOT EXISTS journal_is_final BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal only grows'); END;
"""

_INSERT: Final = """
INSERT INTO journal (at, actor, org_id, action, details, correlation_id) VALUES (?, ?, ?, ?, ?, ?)
"""

_AFTER_ALL: Final = 2**63 - 1
"""A number after that of every entry."""


class SQLiteJournal:
    """A `Journal`. Creates its table when opened."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        database.create(_TABLES)

    def append(self, entries: Sequence[JournalEntry]) -> None:
        with self._database.writing() as connection:
            connection.executemany(_INSERT, [_row(entry) for entry in entries])

    def read(
        self, org_id: str | None, *, beyond: int | None, limit: int
    ) -> Sequence[tuple[int, JournalEntry]]:
        whose = "true" if org_id is None else "org_id = :org_id"
        query = (
            "SELECT number, at, actor, org_id, action, details, correlation_id FROM journal "
            f"WHERE {whose} AND number < :beyond ORDER BY number DESC LIMIT :limit"
        )
        top = _AFTER_ALL if beyond is None else beyond
        values = {"org_id": org_id, "beyond": top, "limit": limit}
        with self._database.reading() as connection:
            rows = connection.execute(query, values).fetchall()
        return [(row[0], _entry(row)) for row in rows]


def _row(entry: JournalEntry) -> tuple[Any, ...]:
    return (
        to_milliseconds(entry.at),
        entry.actor,
        entry.org_id,
        entry.action,
        dumps(entry.details, ensure_ascii=False),
        entry.correlation_id,
    )


def _entry(row: Any) -> JournalEntry:
    return JournalEntry(
        at=from_milliseconds(row[1]),
        actor=row[2],
        org_id=row[3],
        action=row[4],
        details=loads(row[5]),
        correlation_id=row[6],
    )
