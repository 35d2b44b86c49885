"""The ordered log on SQLite."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from eventsourcing.persistence import Notification, StoredEvent

from domain.errors import HeadMoved
from infrastructure.ordered_log import KeyTaken, StoredAnswer, StreamTaken, check_batch
from infrastructure.sqlite.database import SQLiteDatabase

_COLUMNS: Final = "originator_id, originator_version, topic, state, position"
_VARIABLES: Final = 500
"""Names in one `IN (…)`; SQLite takes some thousands, short statements parse faster."""


class SQLiteLog:
    """An `OrderedLog` in the table `events`. Originator ids are text."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database

    def head(self) -> int:
        with self._database.reading() as connection:
            return _head(connection)

    def read(
        self, after: int, limit: int, *, upto: int | None = None, topics: Sequence[str] = ()
    ) -> list[Notification]:
        conditions, values = ["position > ?"], [after]
        if upto is not None:
            conditions.append("position <= ?")
            values.append(upto)
        if topics:
            conditions.append(f"topic IN ({_marks(topics)})")
        query = (
            f"SELECT {_COLUMNS} FROM events WHERE {' AND '.join(conditions)} "
            "ORDER BY position LIMIT ?"
        )
        with self._database.reading() as connection:
            rows = connection.execute(query, [*values, *topics, limit]).fetchall()
        return [Notification(*row) for row in rows]

    def streams(self, originator_ids: Collection[Any]) -> list[Notification]:
        found: list[Notification] = []
        with self._database.reading() as connection:
            for ids in _slices(originator_ids):
                query = f"SELECT {_COLUMNS} FROM events WHERE originator_id IN ({_marks(ids)})"
                found.extend(Notification(*row) for row in connection.execute(query, ids))
        return sorted(found, key=lambda notification: notification.id)

    def answers(self, keys: Collection[str]) -> Mapping[str, bytes]:
        found: dict[str, bytes] = {}
        with self._database.reading() as connection:
            for some in _slices(keys):
                query = f"SELECT key, body FROM answers WHERE key IN ({_marks(some)})"
                found.update(connection.execute(query, some).fetchall())
        return found

    def commit(
        self, after: int, events: Sequence[StoredEvent], answers: Sequence[StoredAnswer] = ()
    ) -> None:
        check_batch(events, answers)
        try:
            with self._database.writing() as connection:
                if events and _head(connection) != after:
                    raise HeadMoved(f"the log does not end at {after}")
                connection.executemany(
                    f"INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",
                    [
                        (e.originator_id, e.originator_version, e.topic, e.state, position)
                        for position, e in enumerate(events, start=after + 1)
                    ],
                )
                connection.executemany(
                    "INSERT INTO answers (key, body) VALUES (?, ?)",
                    [(answer.key, answer.body) for answer in answers],
                )
        except sqlite3.IntegrityError as error:
            if taken := self._taken(events):
                raise StreamTaken(taken) from error
            raise KeyTaken("one of the keys was answered already") from error

    def _taken(self, events: Sequence[StoredEvent]) -> set[tuple[Any, int]]:
        place = "SELECT 1 FROM events WHERE originator_id = ? AND originator_version = ?"
        places = {(event.originator_id, event.originator_version) for event in events}
        with self._database.reading() as connection:
            return {p for p in places if connection.execute(place, p).fetchone()}


def _head(connection: sqlite3.Connection) -> int:
    # sqlite_sequence, not max(position): a position is never given out twice, whatever was deleted
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row[0]) if row else 0


def _marks(values: Collection[Any]) -> str:
    return ", ".join("?" * len(values))


def _slices(values: Collection[Any]) -> list[list[Any]]:
    every = list(values)
    return [every[start : start + _VARIABLES] for start in range(0, len(every), _VARIABLES)]
