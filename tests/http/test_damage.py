"""One damaged row is one damaged row, and one unreadable event is one ticket's: both are named, and
nobody else notices."""

import logging
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from bson import ObjectId

from tests.support.health import poison
from tests.support.server import Client, refused, serving, until


def damage_row(request: pytest.FixtureRequest, store_url: str, ticket_id: str) -> None:
    """What something else may do to the row of a ticket."""
    if store_url.startswith("mongodb"):
        database: Any = request.getfixturevalue("mongodb_database")
        change = {"$unset": {"features": ""}}
        assert database.tickets_1.update_one({"_id": ObjectId(ticket_id)}, change).modified_count
        return
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE tickets_1 SET features = '[' WHERE id = ?", (ticket_id,))
        connection.commit()


def damage_event(request: pytest.FixtureRequest, store_url: str) -> None:
    """What a disk may do to the first event."""
    if store_url.startswith("mongodb"):
        database: Any = request.getfixturevalue("mongodb_database")
        database.commits.update_one({"_id": 1}, {"$set": {"events.0.state": b"{"}})
        return
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE events SET state = x'7b' WHERE position = 1")
        connection.commit()


def test_a_damaged_row_is_named_and_only_its_organisation_notices(
    store_url: str, request: pytest.FixtureRequest
) -> None:
    with serving(store_url) as served:
        ada, other = served.client(), served.client()
        damaged, mine, theirs = ada.created(), ada.created(), other.created()
        damage_row(request, store_url, damaged["_id"])

        for address in ("/v1/tickets", f"/v1/tickets/{damaged['_id']}"):
            problem = refused(ada.get(address), 503, "row-unreadable")
            assert damaged["_id"] in problem["detail"]
        assert ada.get(f"/v1/tickets/{mine['_id']}").json() == mine
        assert other.get("/v1/tickets").json()["items"] == [theirs]
        assert ada.get("/v1/tickets", params={"name": "none"}).json()["items"] == []


def test_an_event_that_cannot_be_read_is_a_problem_of_its_own_for_the_writer(
    store_url: str, request: pytest.FixtureRequest
) -> None:
    with serving(store_url) as served:
        client = served.client()
        created, healthy = client.created(), client.created()
        org = client.org
    damage_event(request, store_url)
    with serving(store_url) as served:  # another process, which remembers no state
        client = served.client(org)
        path, change = f"/v1/tickets/{created['_id']}", {"name": "Later"}
        answer = client.patch(path, json=change, headers={"If-Match": '"1"'})
        problem = refused(answer, 503, "ticket-unreadable")

        assert created["_id"] in problem["detail"] and "position 1" in problem["detail"]
        assert answer.headers["Retry-After"] == "60"
        path = f"/v1/tickets/{healthy['_id']}"
        assert client.patch(path, json=change, headers={"If-Match": '"1"'}).status_code == 200


def test_reads_of_a_parked_ticket_say_so_and_parking_is_one_line_of_the_log(
    store_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    poison(monkeypatch)
    with caplog.at_level(logging.ERROR), serving(store_url) as served:
        client: Client = served.client()
        created, healthy = client.created(), client.created()
        path = f"/v1/tickets/{created['_id']}"
        poisoned = client.patch(path, json={"name": "poison"}, headers={"If-Match": '"1"'})
        position = poisoned.headers["Event-Position"]

        until(lambda: client.get(path).headers.get("Parked-At") == position)
        assert client.get(path).json() == created
        assert client.get(path, headers={"If-None-Match": '"1"'}).headers["Parked-At"] == position
        assert "Parked-At" not in client.get(f"/v1/tickets/{healthy['_id']}").headers
        until(lambda: len(parkings(caplog)) == 2)
    for line, projection in zip(sorted(parkings(caplog)), ("audit", "tickets"), strict=True):
        assert f"projection={projection} ticket={created['_id']} position={position}" in line


def parkings(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [record.getMessage() for record in caplog.records]
    return [message for message in messages if message.startswith("ticket.parked ")]
