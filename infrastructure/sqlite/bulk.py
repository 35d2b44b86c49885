"""Many rows in one statement.

Python's sqlite3 gives the interpreter lock away at each row of `executemany` and of a cursor. In a
busy process it gets the lock back milliseconds later, so that a thousand rows could take seconds.
One statement gives it away once, and SQLite works meanwhile beside all other threads.
"""

from collections.abc import Iterator, Sequence
from sqlite3 import Connection
from typing import Any, Final

_VALUES: Final = 4_096
"""Most values in one statement. SQLite allows 32,766."""


def insert(
    connection: Connection, into: str, rows: Sequence[Sequence[Any]], then: str = ""
) -> None:
    """Run `{into} VALUES (…), (…) … {then}` for all rows, in order, in as few statements as need
    be. `into` is something like `INSERT INTO t`, `then` like `ON CONFLICT …`."""
    for chunk in _chunks(rows):
        connection.execute(f"{into} VALUES {_places(chunk)} {then}", _flat(chunk))


def delete(
    connection: Connection, table: str, columns: Sequence[str], keys: Sequence[Sequence[Any]]
) -> None:
    """Delete the rows with these keys: the values of these columns, which an index begins with."""
    for chunk in _chunks(keys):
        where = f"({', '.join(columns)}) IN (VALUES {_places(chunk)})"
        connection.execute(f"DELETE FROM {table} WHERE {where}", _flat(chunk))


def _chunks(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    """The rows in order, in powers of two: a connection keeps as many prepared statements for them
    as there are powers, whatever the number of rows."""
    start, most = 0, 1
    while rows and 2 * most * len(rows[0]) <= _VALUES:
        most *= 2
    while start < len(rows):
        while most > len(rows) - start:
            most //= 2
        yield rows[start : start + most]
        start += most


def _places(rows: Sequence[Sequence[Any]]) -> str:
    places = f"({', '.join('?' * len(rows[0]))})"
    return ", ".join([places] * len(rows))


def _flat(rows: Sequence[Sequence[Any]]) -> list[Any]:
    return [value for row in rows for value in row]
