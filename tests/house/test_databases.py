"""A database that a test gives back is, for the next one, like one that never was."""

from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from api.composition import open_service
from domain.origin import Origin, milliseconds
from domain.ticket.commands import CreateTicket
from infrastructure.configuration.settings import load_settings
from infrastructure.mongodb.client import Document
from infrastructure.mongodb.schema import has_schema
from tests.support.databases import DatabasePool, structure
from tests.support.server import environment


def use(url: str) -> None:
    """Leave a ticket, versions of views, a note and leases."""
    with open_service(load_settings(environment(url))) as service:
        origin = Origin("ada", None, "run-1", None, milliseconds(service.clock()))
        service.writer.execute(
            CreateTicket("1" * 24, origin, "2" * 24, "workforce_2", "Crew", ("get_all",))
        )
        service.notes.keep("remembered", [1])
        assert service.projections["audit"].live_version.progress.wait(1, timeout=30)
        for live in service.projections.values():
            live.versions.begin(1, 1)


def scribble(database: Database[Document]) -> None:
    """What tests do to a database on their own."""
    database["ticket_1"].insert_one({"name": "of another system"})
    database["commits"].drop_index("answers")
    database["tickets_1"].create_index("extra")
    database.drop_collection("journal")
    database.create_collection("journal", validator={"_id": {"$gt": 0}})
    database.create_collection("seen", viewOn="commits", pipeline=[])


def content(database: Database[Document]) -> Any:
    """The documents of a database, by collection."""
    return {name: list(database[name].find()) for name in sorted(structure(database))}


def test_a_database_given_back_is_like_a_new_one(
    mongodb_client: MongoClient[Document], mongodb_uri: str
) -> None:
    pool = DatabasePool(mongodb_client, mongodb_uri)
    with pool.empty() as first:
        assert not has_schema(first)
        use(pool.url(first))
        scribble(first)
    with pool.empty() as again, pool.fresh() as fresh:
        assert again.name == first.name
        assert not has_schema(again)
        assert not any(content(again).values())
        for database in (again, fresh):
            settings = load_settings(environment(pool.url(database)))
            with open_service(settings, run_projections=False, watch=False):
                pass
        assert structure(again) == structure(fresh)
        assert content(again) == content(fresh)
    pool.close()
    assert first.name not in mongodb_client.list_database_names()


def test_two_tests_at_once_have_two_databases(databases: DatabasePool) -> None:
    with databases.empty() as one, databases.empty() as other:
        assert one.name != other.name


@pytest.mark.parametrize("round_", [1, 2])
def test_a_database_is_empty_each_time(
    mongodb_database: Database[Document], databases: DatabasePool, round_: int
) -> None:
    assert not any(content(mongodb_database).values()), f"round {round_}"
    use(databases.url(mongodb_database))
