"""The records of jobs on SQLite: a row each."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from json import dumps, loads
from typing import Any, Final

from infrastructure.jobs import Job
from infrastructure.sqlite.database import SQLiteDatabase

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS operations (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;"
)
_TIMES: Final = ("started_at", "finished_at")


class SQLiteJobs:
    """`Jobs` in the table `operations`."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        database.create(_TABLES)

    def keep(self, job: Job) -> None:
        body = dumps(asdict(job), default=datetime.isoformat, ensure_ascii=False)
        with self._database.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO operations VALUES (?, ?)", (job.id, body))

    def find(self, job_id: str) -> Job | None:
        query = "SELECT body FROM operations WHERE id = ?"
        with self._database.reading() as connection:
            row = connection.execute(query, (job_id,)).fetchone()
        return _job(row[0]) if row else None

    def latest(self, before: str | None, limit: int) -> Sequence[Job]:
        query = "SELECT body FROM operations WHERE id < ? ORDER BY id DESC LIMIT ?"
        with self._database.reading() as connection:
            rows = connection.execute(query, (before or "g", limit)).fetchall()
        return [_job(body) for (body,) in rows]


def _job(body: str) -> Job:
    fields: dict[str, Any] = loads(body)
    times = {name: fields[name] and datetime.fromisoformat(fields[name]) for name in _TIMES}
    return Job(**fields | times)
