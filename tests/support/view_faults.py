"""Harm done to a view behind the service's back, at random, in either store."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from random import Random
from typing import Any, Final, Protocol

import bson
from bson import Int64, ObjectId
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import WriteError

from infrastructure.configuration.addresses import SQLiteStore, parse_store
from infrastructure.mongodb.client import Document, connect, database
from infrastructure.mongodb.exact import ANYTHING, ForeignKey, is_integer

VALUES: Final = ("", "x", '["get_all"]', 0, 1, -5, 2.5, 2**40, b"\xff\x00", None)
"""What a column or a field may be overwritten with, in every store."""

BSON_VALUES: Final[tuple[Any, ...]] = (
    *(True, False, Int64(1), Int64(2), 1.0, 2.0, [], ["get_all"], [1], {}, {"a": {"b": 1}}),
    *(ObjectId(), bson.MaxKey(), bson.DatetimeMS(2**60), bson.Binary(b"x", 5)),
)


class Vandal(Protocol):
    """Somebody with access to the store of one view."""

    def everything(self) -> Mapping[Any, list[Any]]:
        """What is stored under each key, to the byte: the row, if any, and what is beside it."""

    def harm(self, random: Random) -> None:
        """One fault: something missing, too much, or changed."""


@contextmanager
def vandal(store_url: str, rows: str) -> Iterator[Vandal]:
    """Of the version that is stored in the table or the collection `rows`."""
    store = parse_store("TICKETBOOK_STORE", store_url)
    if isinstance(store, SQLiteStore):
        with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
            connection.text_factory = bytes
            yield _SQLiteVandal(connection, rows)
    else:
        client: MongoClient[Document] = connect(store.uri)
        with closing(client):
            yield _MongoDBVandal(database(client, store.database), rows)


class _SQLiteVandal:
    def __init__(self, connection: sqlite3.Connection, rows: str) -> None:
        self._connection = connection
        self._rows, self._features = rows, f"{rows}_features"
        self._columns = self._names(self._rows)
        self._beside = self._names(self._features)
        self._key = self._columns[0]

    def everything(self) -> Mapping[Any, list[Any]]:
        found: dict[Any, list[Any]] = {}
        for kind, key, *row in self._all(self._rows):
            found[_key(kind, key)] = [row]
        for kind, key, *row in self._all(self._features):
            found.setdefault(_key(kind, key), [None]).append(row)
        return found

    def _all(self, table: str) -> Iterator[Any]:
        key = self._key
        return self._connection.execute(
            f"SELECT typeof({key}), {key}, * FROM {table} ORDER BY 3, 4"
        )

    def harm(self, random: Random) -> None:
        table = random.choice([self._rows, self._features])
        columns = self._columns if table == self._rows else self._beside
        row = self._any(table, random)
        where = " AND ".join(f"{column} IS ?" for column in columns)
        kind = random.choice([self._remove, self._add, self._change])
        kind(table, columns, row, where, random)

    def _remove(self, table: str, _: list[str], row: list[Any], where: str, __: Random) -> None:
        self._connection.execute(f"DELETE FROM {table} WHERE {where}", row)

    def _add(self, table: str, columns: list[str], row: list[Any], _: str, random: Random) -> None:
        """The same once more, elsewhere."""
        place = columns.index(self._key) if random.random() < 0.7 else 0
        row[place] = random.choice(
            [random.randrange(10**6, 10**9), f"{random.getrandbits(96):024x}"]
        )
        self._try(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)

    def _change(
        self, table: str, columns: list[str], row: list[Any], where: str, random: Random
    ) -> None:
        column = random.choice(columns)
        value = random.choice(VALUES)
        broken = column != self._key and random.random() < 0.1  # text that is no UTF-8
        to = "CAST(x'ff41' AS TEXT)" if broken else "?"
        values = row if broken else [value, *row]
        self._try(f"UPDATE {table} SET {column} = {to} WHERE {where}", values)

    def _try(self, statement: str, values: list[Any]) -> None:
        with suppress(sqlite3.IntegrityError):  # the table itself does not allow it
            self._connection.execute(statement, values)

    def _any(self, table: str, random: Random) -> list[Any]:
        (count,) = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        query = f"SELECT * FROM {table} LIMIT 1 OFFSET ?"
        found = self._connection.execute(query, (random.randrange(count),)).fetchone()
        types = [row for row in self._connection.execute(f"PRAGMA table_info({table})")]
        return [
            _text(value) if kind[2] == b"TEXT" else value
            for value, kind in zip(found, types, strict=True)
        ]

    def _names(self, table: str) -> list[str]:
        return [row[1].decode() for row in self._connection.execute(f"PRAGMA table_info({table})")]


def _key(kind: bytes, value: Any) -> Any:
    return value.decode() if kind == b"text" else value


def _text(value: Any) -> Any:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value.decode(errors="replace")


class _MongoDBVandal:
    def __init__(self, database: Database[Document], rows: str) -> None:
        self._rows = database[rows].with_options(codec_options=ANYTHING)

    def everything(self) -> Mapping[Any, list[Any]]:
        return {self._key(found["_id"]): [bson.encode(found)] for found in self._rows.find()}

    def _key(self, id_: Any) -> Any:
        """As the view tells it."""
        if self._rows.name.startswith("tickets"):
            return str(id_) if isinstance(id_, ObjectId) else ForeignKey.of(id_)
        return int(id_) if is_integer(id_) else ForeignKey.of(id_)

    def harm(self, random: Random) -> None:
        (found,) = self._rows.find().sort("_id", 1).skip(self._place(random)).limit(1)
        kinds: list[Callable[[Document, Random], None]] = [
            *(self._remove, self._add, self._change, self._change, self._change),
            *(self._strip, self._adorn, self._turn),
        ]
        random.choice(kinds)(found, random)

    def _place(self, random: Random) -> int:
        return random.randrange(self._rows.count_documents({}))

    def _remove(self, found: Document, _: Random) -> None:
        self._rows.delete_one({"_id": found["_id"]})

    def _add(self, found: Document, random: Random) -> None:
        odd = [True, 10**6 + 0.5, f"{random.getrandbits(96):024x}", {"a": random.random()}, b"x"]
        ids = [*odd, ObjectId(), random.randrange(10**6, 10**9), Int64(random.getrandbits(50))]
        found["_id"] = random.choice(ids)
        self._rows.replace_one({"_id": found["_id"]}, found, upsert=True)

    def _change(self, found: Document, random: Random) -> None:
        field = random.choice([field for field in found if field != "_id"])
        within = found[field]
        if isinstance(within, dict) and within and random.random() < 0.7:
            field = f"{field}.{random.choice(list(within))}"
        value = random.choice([*VALUES, *BSON_VALUES])
        with suppress(WriteError):  # an index does not allow it
            self._rows.update_one({"_id": found["_id"]}, {"$set": {field: value}})

    def _strip(self, found: Document, random: Random) -> None:
        field = random.choice([field for field in found if field != "_id"])
        self._rows.update_one({"_id": found["_id"]}, {"$unset": {field: 1}})

    def _adorn(self, found: Document, random: Random) -> None:
        value = random.choice(BSON_VALUES)
        self._rows.update_one({"_id": found["_id"]}, {"$set": {"note": value}})

    def _turn(self, found: Document, _: Random) -> None:
        """The same fields in another order."""
        rest = [(field, value) for field, value in reversed(found.items()) if field != "_id"]
        self._rows.replace_one({"_id": found["_id"]}, dict(rest))
