"""Leases on SQLite: one row each in `leases`, on the clock of the machine that has the file."""

from typing import Final

from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.moments import NOW, from_milliseconds
from projections.running.projection import CLOCK_STEP, LONGEST_LEASE, Lease

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    fence INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
"""

_OVER: Final = f"(expires_at <= {NOW} OR expires_at > {NOW} + :longest)"
"""True for a lease that has ended, or is void."""

_ACQUIRE: Final = f"""
INSERT INTO leases VALUES (:name, :holder, 1, {NOW} + :milliseconds)
ON CONFLICT (name) DO UPDATE SET
    holder = :holder,
    fence = fence + {_OVER},
    expires_at = {NOW} + :milliseconds
WHERE holder = :holder OR {_OVER}
RETURNING fence
"""

_SEIZE: Final = f"""
INSERT INTO leases VALUES (:name, :holder, 1, {NOW} + :milliseconds)
ON CONFLICT (name) DO UPDATE SET
    holder = :holder,
    fence = fence + 1,
    expires_at = {NOW} + :milliseconds
RETURNING fence
"""

_RELEASE: Final = f"""
UPDATE leases SET expires_at = {NOW}
WHERE name = ? AND holder = ? AND expires_at > {NOW}
"""

_CURRENT: Final = f"""
SELECT holder, fence, expires_at, {_OVER} FROM leases WHERE name = :name
"""


class SQLiteLeases:
    """`Leases` in the table `leases`."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        database.create(_TABLES)

    def acquire(self, name: str, holder: str, seconds: float) -> int | None:
        return self._take(_ACQUIRE, name, holder, seconds)

    def seize(self, name: str, holder: str, seconds: float) -> int:
        fence = self._take(_SEIZE, name, holder, seconds)
        assert fence is not None  # the statement has no condition
        return fence

    def release(self, name: str, holder: str) -> None:
        with self._database.writing() as connection:
            connection.execute(_RELEASE, (name, holder))

    def current(self, name: str) -> Lease | None:
        with self._database.reading() as connection:
            values = {"name": name, "longest": _longest(LONGEST_LEASE)}
            row = connection.execute(_CURRENT, values).fetchone()
        return Lease(row[0], row[1], from_milliseconds(row[2]), bool(row[3])) if row else None

    def _take(self, statement: str, name: str, holder: str, seconds: float) -> int | None:
        values = {
            "name": name,
            "holder": holder,
            "milliseconds": round(seconds * 1000),
            "longest": _longest(seconds),
        }
        with self._database.writing() as connection:
            row = connection.execute(statement, values).fetchone()
        return int(row[0]) if row else None


def _longest(seconds: float) -> int:
    """Milliseconds after which no lease of so many seconds can end."""
    return round((seconds + CLOCK_STEP) * 1000)
