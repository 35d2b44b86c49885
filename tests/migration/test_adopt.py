"""Adopting a collection `tickets` that stood in the store's database before the service came."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from api.composition import open_service
from domain.origin import Origin, milliseconds
from domain.ticket.commands import RetireTicket
from infrastructure.clock import now
from infrastructure.configuration.settings import load_settings
from infrastructure.mongodb.client import Document
from tests.support.command import run as run_anywhere
from tests.support.databases import DatabasePool
from tests.support.server import SECRET, environment, serving

MADE = datetime(2025, 3, 24, 7, 2, 32, 431000, tzinfo=UTC)
ORG = ObjectId("65da4715b8cd3a97f11ae651")


def ticket(number: int, system: str, *features: str, **fields: Any) -> Document:
    return {
        "_id": ObjectId(f"{number:024x}"),
        "name": f"Crew {number}",
        "orgId": ORG,
        "system": system,
        "features": list(features),
        "createdAt": MADE,
        "updatedAt": MADE,
        "__v": number,
    } | fields


CLEAN = [
    ticket(1, "workforce_2", "create_worker", "get_all"),
    ticket(2, "donear_3", "get_forecast"),
    ticket(3, "revolution_counter_1"),
]
NO_SYSTEM = ticket(4, "nowhere")


@pytest.fixture
def tickets(mongodb_database: Database[Document]) -> Database[Document]:
    """The store's database, with a collection `tickets` of somebody else's."""
    mongodb_database["tickets"].insert_many([*CLEAN, NO_SYSTEM])
    mongodb_database["tickets"].create_index("name")
    return mongodb_database


def adopt(*arguments: str, store: str) -> tuple[int, str, str]:
    return run_anywhere("migrate", "adopt", *arguments, store=store, TICKETBOOK_AUTH_SECRET=SECRET)


def kept(database: Database[Document]) -> str:
    (name,) = [one for one in database.list_collection_names() if "_adopted_" in one]
    return name


def change_here(store_url: str, ticket_id: str) -> None:
    with open_service(load_settings(environment(store_url)), run_projections=False) as service:
        origin = Origin("ada", None, "request-1", None, milliseconds(now()))
        service.writer.execute(RetireTicket(ticket_id, origin, None, None))


def test_documents_become_tickets_and_readers_find_them_as_they_were(
    tickets: Database[Document], mongodb_url: str
) -> None:
    code, out, err = adopt("--json", store=mongodb_url)
    assert code == 0, err
    assert json.loads(out) == {
        "imported": 3,
        "quarantined": 1,
        "removed": 0,
        "unchanged": 0,
        "changedHere": 0,
        "replaced": 0,
        "kept": kept(tickets),
    }
    assert list(tickets["tickets"].find(sort=[("_id", 1)])) == CLEAN
    assert list(tickets[kept(tickets)].find(sort=[("_id", 1)])) == [*CLEAN, NO_SYSTEM]
    with serving(mongodb_url) as served:
        answer = served.client(str(ORG)).get(f"/v1/tickets/{1:024x}")
        assert answer.json()["features"] == ["create_worker", "get_all"]


def test_adopting_again_changes_nothing(tickets: Database[Document], mongodb_url: str) -> None:
    assert adopt(store=mongodb_url)[0] == 0
    before, shown = kept(tickets), list(tickets["tickets"].find())
    code, out, _ = adopt("--json", store=mongodb_url)
    assert code == 0
    assert json.loads(out)["unchanged"] == 4
    assert (kept(tickets), list(tickets["tickets"].find())) == (before, shown)


def test_adopting_goes_on_where_it_was_killed(
    tickets: Database[Document], mongodb_url: str
) -> None:
    tickets["tickets"].rename("tickets_adopted_20261124T130000")
    assert adopt(store=mongodb_url)[0] == 0
    assert list(tickets["tickets"].find(sort=[("_id", 1)])) == CLEAN


def test_two_collections_to_adopt_are_told(tickets: Database[Document], mongodb_url: str) -> None:
    tickets["tickets_adopted_20261124T130000"].insert_one(CLEAN[0])
    code, _, err = adopt(store=mongodb_url)
    assert code == 4
    assert "tickets, tickets_adopted_20261124T130000" in err
    assert tickets["commits"].count_documents({}) == 0


def test_a_dry_run_adopts_nothing(tickets: Database[Document], mongodb_url: str) -> None:
    code, _, err = adopt("--dry-run", store=mongodb_url)
    assert code == 0
    assert "Would adopt 4 documents" in err
    assert tickets["commits"].count_documents({}) == 0
    assert tickets["tickets"].count_documents({}) == 4


def test_until_the_first_change_here_the_collection_is_put_back(
    tickets: Database[Document], mongodb_url: str
) -> None:
    assert adopt(store=mongodb_url)[0] == 0
    assert adopt("rollback", "--dry-run", store=mongodb_url)[0] == 0
    assert kept(tickets)
    code, _, err = adopt("rollback", store=mongodb_url)
    assert code == 0, err
    assert list(tickets["tickets"].find(sort=[("_id", 1)])) == [*CLEAN, NO_SYSTEM]
    assert "name_1" in tickets["tickets"].index_information()
    tickets["tickets"].update_one({}, {"$set": {"name": "Chief", "updatedAt": now()}})

    assert adopt(store=mongodb_url)[0] == 0
    assert (tickets["tickets"].find_one({"_id": CLEAN[0]["_id"]}) or {})["name"] == "Chief"


def test_after_the_first_change_here_the_collection_stays_adopted(
    tickets: Database[Document], mongodb_url: str
) -> None:
    assert adopt(store=mongodb_url)[0] == 0
    change_here(mongodb_url, f"{1:024x}")
    before = kept(tickets)
    code, _, err = adopt("rollback", store=mongodb_url)
    assert code == 1
    assert "ada made ticket.retired" in err
    assert kept(tickets) == before


def test_there_is_nothing_to_roll_back_before_anything_was_adopted(
    tickets: Database[Document], mongodb_url: str
) -> None:
    code, _, err = adopt("rollback", store=mongodb_url)
    assert code == 1
    assert "nothing to roll back" in err


def test_an_empty_database_has_nothing_to_adopt(
    databases: DatabasePool, fresh_mongodb_database: Database[Document]
) -> None:
    code, _, err = adopt(store=databases.url(fresh_mongodb_database))
    assert code == 0
    assert "no collection tickets to adopt" in err
    assert fresh_mongodb_database.list_collection_names() == []


def test_a_sqlite_store_has_nothing_to_adopt(tmp_path: Any) -> None:
    store = f"sqlite:///{tmp_path}/store.db"
    with open_service(load_settings(environment(store)), run_projections=False):
        pass
    code, _, err = adopt(store=store)
    assert code == 3
    assert "names a SQLite file" in err


def test_a_plan_tells_what_would_become_of_each_document_and_writes_nothing(
    tickets: Database[Document], mongodb_url: str
) -> None:
    names = tickets.list_collection_names()
    code, out, err = adopt("plan", "--json", store=mongodb_url)
    assert code == 0, err
    told = json.loads(out)
    assert (told["clean"], told["already"]) == (3, 0)
    assert tickets.list_collection_names() == names
    assert adopt(store=mongodb_url)[0] == 0
    assert json.loads(adopt("plan", "--json", store=mongodb_url)[1])["already"] == 4


def test_what_was_adopted_is_verified_apart_from_the_adoption(
    tickets: Database[Document], mongodb_url: str
) -> None:
    code, out, _ = adopt("verify", store=mongodb_url)
    assert code == 1
    assert [json.loads(line)["kind"] for line in out.splitlines()] == ["missing"] * 4

    assert adopt(store=mongodb_url)[0] == 0
    code, out, err = adopt("verify", store=mongodb_url)
    assert (code, out) == (0, "")
    assert "4 records: 3 equal tickets" in err and "1 in quarantine" in err

    tickets[kept(tickets)].update_one({"_id": CLEAN[0]["_id"]}, {"$set": {"name": "Chief"}})
    tickets[kept(tickets)].delete_one({"_id": CLEAN[1]["_id"]})
    code, out, _ = adopt("verify", store=mongodb_url)
    told = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [(one["kind"], one["ticket"]) for one in told] == [
        ("content", f"{1:024x}"),
        ("extra", f"{2:024x}"),
    ]


def test_what_was_changed_here_since_is_explained(
    tickets: Database[Document], mongodb_url: str
) -> None:
    assert adopt(store=mongodb_url)[0] == 0
    change_here(mongodb_url, f"{1:024x}")
    code, out, err = adopt("verify", store=mongodb_url)
    assert (code, out) == (0, "")
    assert "1 changed here since" in err


def test_users_that_refer_to_what_was_not_adopted_are_told(
    tickets: Database[Document], mongodb_url: str
) -> None:
    good = {"orgId": ORG, "ticket": CLEAN[0]["_id"]}
    tickets["users"].insert_one(
        {
            "workforce_2": good,
            "donear_3": good | {"ticket": CLEAN[1]["_id"], "orgId": ObjectId()},
            "nowhere": good | {"ticket": NO_SYSTEM["_id"]},
        }
    )
    assert adopt(store=mongodb_url)[0] == 0
    code, out, err = adopt("verify", store=mongodb_url)
    assert code == 0, out + err
    told = [json.loads(line) for line in out.splitlines()]
    assert [(one["kind"], one["system"]) for one in told] == [
        ("wrong-organisation", "donear_3"),
        ("quarantined-reference", "nowhere"),
    ]
