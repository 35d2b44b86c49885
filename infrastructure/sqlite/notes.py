"""Notes on SQLite: a row each."""

import json
from typing import Any, Final

from infrastructure.sqlite.database import SQLiteDatabase

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
)


class SQLiteNotes:
    """`Notes` in the table `notes`. Creates it when opened, unless for `reading_only`."""

    def __init__(self, database: SQLiteDatabase, *, reading_only: bool = False) -> None:
        self._database = database
        if not reading_only:
            database.create(_TABLES)

    def find(self, name: str) -> Any:
        with self._database.reading() as connection:
            row = connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def keep(self, name: str, value: Any) -> None:
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO notes VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
                (name, json.dumps(value)),
            )

    def forget(self, name: str) -> None:
        with self._database.writing() as connection:
            connection.execute("DELETE FROM notes WHERE name = ?", (name,))
