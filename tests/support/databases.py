"""MongoDB databases that tests use one after the other: to make and drop one for each test takes
longer than most of the tests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from infrastructure.configuration.addresses import MongoDBStore
from infrastructure.mongodb.client import Document, database
from infrastructure.mongodb.stores import open_mongodb

Structure = Mapping[str, tuple[Any, Any]]
"""By name of a collection: its options and its indexes."""

_OWN: Final = "system."
"""How the names of MongoDB's own collections begin."""


class DatabasePool:
    """Databases on one replica set. Each is empty when a test gets it: there is no document, no
    view, and no collection or index but those that the service makes when it opens a store."""

    def __init__(self, client: MongoClient[Document], uri: str) -> None:
        self._client = client
        self._uri = uri
        self._free: list[Database[Document]] = []
        self._standing: Structure = {}

    @contextmanager
    def empty(self) -> Iterator[Database[Document]]:
        """A database for this block alone."""
        taken = self._free.pop() if self._free else self._make()
        yield taken
        self._empty(taken)
        self._free.append(taken)

    @contextmanager
    def fresh(self) -> Iterator[Database[Document]]:
        """A database that does not exist yet; dropped after the block."""
        name = f"test_{ObjectId()}"
        yield database(self._client, name)
        self._client.drop_database(name)

    def url(self, taken: Database[Document]) -> str:
        """`TICKETBOOK_STORE` for a database."""
        return urlsplit(self._uri)._replace(path=f"/{taken.name}").geturl()

    def close(self) -> None:
        for unused in self._free:
            self._client.drop_database(unused)

    def _make(self) -> Database[Document]:
        name = f"test_{ObjectId()}"
        with open_mongodb(MongoDBStore(self._uri, name)):
            made = database(self._client, name)
        self._standing = structure(made)
        self._empty(made)
        return made

    def _empty(self, taken: Database[Document]) -> None:
        for name, present in structure(taken).items():
            if present == self._standing.get(name):
                taken[name].delete_many({})
            else:
                taken.drop_collection(name)


def structure(database: Database[Document]) -> Structure:
    """The collections and views of a database."""
    return {
        found["name"]: (
            found["options"],
            found["type"] == "collection"
            and sorted(database[found["name"]].list_indexes(), key=lambda index: index["name"]),
        )
        for found in database.list_collections()
        if not found["name"].startswith(_OWN)
    }
