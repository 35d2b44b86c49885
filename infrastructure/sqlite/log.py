"""The ordered log on SQLite."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from eventsourcing.persistence import StoredEvent

from domain.errors import ChainBroken, HeadMoved
from domain.log.chain import EMPTY, Head, Link, head_of
from infrastructure.log.ordered_log import (
    Chained,
    KeyTaken,
    StoredAnswer,
    StreamTaken,
    chained,
    check_batch,
)
from infrastructure.sqlite.connection import Connection
from infrastructure.sqlite.database import SQLiteDatabase, marks, slices
from infrastructure.sqlite.failures import Conflicting

_COLUMNS: Final = "originator_id, originator_version, topic, state, position, hash"

_SCAN_PAGE: Final = 5_000
"""Events that a scan reads in one transaction."""

_SMALLEST: Final = -(2**63)
"""The smallest position that a row can have."""


class SQLiteLog:
    """An `OrderedLog` in the table `events`. Originator ids are text."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database

    def head(self) -> int:
        with self._database.reading() as connection:
            return _head(connection).position

    def ending(self) -> Head:
        with self._database.reading() as connection:
            return _head(connection)

    def read(
        self, after: int, limit: int, *, upto: int | None = None, topics: Sequence[str] = ()
    ) -> Sequence[Chained]:
        conditions, values = ["position > ?"], [after]
        if upto is not None:
            conditions.append("position <= ?")
            values.append(upto)
        if topics:
            conditions.append(f"topic IN ({marks(topics)})")
        query = (
            f"SELECT {_COLUMNS} FROM events WHERE {' AND '.join(conditions)} "
            "ORDER BY position LIMIT ?"
        )
        with self._database.reading() as connection:
            rows = connection.execute(query, [*values, *topics, limit]).fetchall()
        return [Chained(*row) for row in rows]

    def at(self, positions: Collection[int]) -> Sequence[Chained]:
        events: list[Chained] = []
        with self._database.reading() as connection:
            for slice_ in slices(positions):
                query = f"SELECT {_COLUMNS} FROM events WHERE position IN ({marks(slice_)})"
                events.extend(Chained(*row) for row in connection.execute(query, slice_).fetchall())
        return sorted(events, key=lambda event: event.id)

    def scan(self) -> Iterator[Link]:
        query = (
            "SELECT position, originator_id, originator_version, topic, state, hash FROM events "
            "WHERE position >= ? ORDER BY position LIMIT ?"
        )
        begin, last = _SMALLEST, 0
        rows: list[Any] = []
        while begin == _SMALLEST or len(rows) == _SCAN_PAGE:
            # page by page: a long snapshot would keep SQLite from truncating its write-ahead log
            with self._database.reading() as connection:
                connection.text_factory = _as_it_stands
                try:
                    rows = connection.execute(query, (begin, _SCAN_PAGE)).fetchall()
                finally:
                    connection.text_factory = str
                given_out = _given_out(connection)
            yield from map(Link._make, rows)
            if rows:
                last = rows[-1][0]
            begin = last + 1
        if given_out != last:
            end = min(last, max(given_out, 0) if isinstance(given_out, int) else 0)
            raise ChainBroken(
                end + 1,
                f"the events end at {last}, but SQLite's own count of them at {given_out!r}.",
            )

    def streams(self, originator_ids: Collection[Any]) -> Sequence[Chained]:
        events: list[Chained] = []
        with self._database.reading() as connection:
            for ids in slices(originator_ids):
                query = f"SELECT {_COLUMNS} FROM events WHERE originator_id IN ({marks(ids)})"
                events.extend(Chained(*row) for row in connection.execute(query, ids).fetchall())
        return sorted(events, key=lambda notification: notification.id)

    def answers(self, keys: Collection[str]) -> Mapping[str, bytes]:
        bodies: dict[str, bytes] = {}
        with self._database.reading() as connection:
            for slice_ in slices(keys):
                query = f"SELECT key, body FROM answers WHERE key IN ({marks(slice_)})"
                bodies.update(connection.execute(query, slice_).fetchall())
        return bodies

    def commit(
        self, after: int, events: Sequence[StoredEvent], answers: Sequence[StoredAnswer] = ()
    ) -> Sequence[bytes]:
        check_batch(events, answers)
        try:
            with self._database.writing() as connection:
                head = _head(connection) if events else EMPTY
                if events and head.position != after:
                    raise HeadMoved(f"the log does not end at {after}")
                hashes = chained(head, events)
                connection.executemany(
                    f"INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (e.originator_id, e.originator_version, e.topic, e.state, position, hash_)
                        for position, (e, hash_) in enumerate(
                            zip(events, hashes, strict=True), start=after + 1
                        )
                    ],
                )
                connection.executemany(
                    "INSERT INTO answers (key, body) VALUES (?, ?)",
                    [(answer.key, answer.body) for answer in answers],
                )
        except Conflicting as error:
            if taken := self._taken(events):
                raise StreamTaken(taken) from error
            if self.answers({answer.key for answer in answers}):
                raise KeyTaken("one of the keys was answered already") from error
            raise
        return hashes

    def _taken(self, events: Sequence[StoredEvent]) -> set[tuple[Any, int]]:
        place = "SELECT 1 FROM events WHERE originator_id = ? AND originator_version = ?"
        places = {(event.originator_id, event.originator_version) for event in events}
        with self._database.reading() as connection:
            return {p for p in places if connection.execute(place, p).fetchone()}


def _head(connection: Connection) -> Head:
    """The last event that readers see; or a later position, if the last events were deleted: no
    position is given out twice."""
    last = connection.execute("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1")
    position, hash_ = last.fetchone() or EMPTY
    given_out = _given_out(connection)
    if isinstance(given_out, int) and given_out > position:
        return head_of(given_out, None)
    return head_of(position, hash_)


def _as_it_stands(text: bytes) -> str:
    """The text, even of bytes that are no UTF-8: a check of the chain finds them."""
    return text.decode(errors="surrogateescape")


def _given_out(connection: Connection) -> object:
    """The largest position ever given out. It may have any type if somebody changed it."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return row[0] if row else 0
