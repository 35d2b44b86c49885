"""The stores every test may use: SQLite in a temporary folder, and a real MongoDB."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from pymongo import MongoClient
from pymongo.database import Database

from infrastructure.log.ordered_log import OrderedLog
from infrastructure.mongodb.client import Document, connect
from infrastructure.mongodb.log import MongoDBLog
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.log import SQLiteLog
from tests.support.databases import DatabasePool
from tests.support.forks import end_fork_server, forked_workers
from tests.support.memory import keep_files_in_memory
from tests.support.mongod import ReplicaSet
from tests.support.server import Client, Served, serving

pytest_plugins = ["tests.support.processor_time"]

keep_files_in_memory()

# a shell that starts the tests in the background has them ignore Ctrl-C, and their children too
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _forked_workers() -> Iterator[None]:
    with forked_workers():
        yield
    end_fork_server()


@pytest.fixture(autouse=True)
def _plain_tracebacks() -> None:
    """Log failures without the variables of each frame: to print those takes seconds."""
    *others, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, plain])


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


@pytest.fixture(scope="session")
def databases(mongodb_client: MongoClient[Document], mongodb_uri: str) -> Iterator[DatabasePool]:
    with closing(DatabasePool(mongodb_client, mongodb_uri)) as pool:
        yield pool


@pytest.fixture
def mongodb_database(databases: DatabasePool) -> Iterator[Database[Document]]:
    """An empty database: others used it before, and others will."""
    with databases.empty() as database:
        yield database


@pytest.fixture
def fresh_mongodb_database(databases: DatabasePool) -> Iterator[Database[Document]]:
    """A database that does not exist yet."""
    with databases.fresh() as database:
        yield database


@pytest.fixture
def mongodb_url(databases: DatabasePool, mongodb_database: Database[Document]) -> str:
    """`TICKETBOOK_STORE` for an empty database."""
    return databases.url(mongodb_database)


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
    databases: DatabasePool = request.getfixturevalue("databases")
    with databases.empty() as database, serving(databases.url(database)) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Client:
    """A client of a new organisation, with every scope."""
    return served.client()
