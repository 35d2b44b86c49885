"""The counts of calls on the old routes, on SQLite."""

from collections.abc import Sequence
from typing import Final

from infrastructure.legacy_usage import LegacyCalls
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.moments import from_milliseconds, to_milliseconds

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS legacy_usage (
    caller TEXT NOT NULL,
    route TEXT NOT NULL,
    calls INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (caller, route)
) WITHOUT ROWID;
"""

_ADD: Final = """
INSERT INTO legacy_usage VALUES (?, ?, ?, ?, ?)
ON CONFLICT (caller, route) DO UPDATE SET
    calls = calls + excluded.calls,
    first_at = min(first_at, excluded.first_at),
    last_at = max(last_at, excluded.last_at)
"""

_ALL: Final = """
SELECT caller, route, calls, first_at, last_at FROM legacy_usage
ORDER BY last_at DESC, caller, route
"""


class SQLiteLegacyUsage:
    """`LegacyUsage` in the table `legacy_usage`."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        database.create(_TABLES)

    def add(self, calls: Sequence[LegacyCalls]) -> None:
        rows = [
            (c.caller, c.route, c.calls, to_milliseconds(c.first_at), to_milliseconds(c.last_at))
            for c in calls
        ]
        with self._database.writing() as connection:
            connection.executemany(_ADD, rows)

    def all(self) -> Sequence[LegacyCalls]:
        with self._database.reading() as connection:
            rows = connection.execute(_ALL).fetchall()
        return [
            LegacyCalls(
                caller, route, calls, from_milliseconds(first_at), from_milliseconds(last_at)
            )
            for caller, route, calls, first_at, last_at in rows
        ]
