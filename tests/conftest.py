"""The stores every test may use: SQLite in a temporary folder, and a real MongoDB."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from infrastructure.log.ordered_log import OrderedLog
from infrastructure.mongodb.client import Document, connect, database
from infrastructure.mongodb.log import MongoDBLog
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.log import SQLiteLog
from tests.support.mongod import ReplicaSet
from tests.support.server import Client, Served, serving


@pytest.fixture(scope="session")
def mongodb_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A replica set of one member, or what `MONGODB_URI` names. There is no test without one."""
    if given := os.environ.get("MONGODB_URI"):
        yield given
    else:
        with closing(ReplicaSet(tmp_path_factory.mktemp("mongod"), members=1)) as replica_set:
            yield replica_set.uri


@pytest.fixture(scope="session")
def mongodb_client(mongodb_uri: str) -> Iterator[MongoClient[Document]]:
    with connect(mongodb_uri) as client:
        yield client


@pytest.fixture
def mongodb_database(mongodb_client: MongoClient[Document]) -> Iterator[Database[Document]]:
    """An empty database, dropped after the test."""
    name = f"test_{ObjectId()}"
    yield database(mongodb_client, name)
    mongodb_client.drop_database(name)


@pytest.fixture
def mongodb_url(mongodb_uri: str, mongodb_database: Database[Document]) -> str:
    """`TICKETBOOK_STORE` for an empty database."""
    return urlsplit(mongodb_uri)._replace(path=f"/{mongodb_database.name}").geturl()


@pytest.fixture(params=["sqlite", "mongodb"])
def store(request: pytest.FixtureRequest) -> str:
    """The kind of store: a test that asks for it, or for what follows, runs once for each."""
    kind: str = request.param
    return kind


@pytest.fixture
def store_url(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """`TICKETBOOK_STORE` for an empty store."""
    if store == "sqlite":
        return f"sqlite:///{tmp_path / 'ticketbook.db'}"
    url: str = request.getfixturevalue("mongodb_url")
    return url


@pytest.fixture
def ordered_log(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OrderedLog]:
    """An empty log on the store."""
    if store == "sqlite":
        with closing(SQLiteDatabase(tmp_path / "ticketbook.db")) as opened:
            yield SQLiteLog(opened)
    else:
        yield MongoDBLog(request.getfixturevalue("mongodb_database"))


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A service over HTTP on each store, shared by the tests of a module: every test has an
    organisation of its own."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("served") / "ticketbook.db"
        with serving(f"sqlite:///{path}") as running:
            yield running
        return
    client: MongoClient[Document] = request.getfixturevalue("mongodb_client")
    name = f"test_{ObjectId()}"
    uri: str = request.getfixturevalue("mongodb_uri")
    with serving(urlsplit(uri)._replace(path=f"/{name}").geturl()) as running:
        yield running
    client.drop_database(name)


@pytest.fixture
def client(served: Served) -> Client:
    """A client of a new organisation, with every scope."""
    return served.client()
