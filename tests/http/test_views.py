"""The catalogue, the audit log and the projections over HTTP, and a store that fails."""

import asyncio
import re

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pymongo.database import Database
from structlog.testing import capture_logs

from api.http.errors import failures
from api.http.middleware.envelope import Envelope
from domain.errors import StoreUnavailable
from infrastructure.mongodb.client import Document
from tests.support.server import Client, Served, refused, seen, serving

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_the_catalogue_is_shown_with_every_feature_described(client: Client) -> None:
    systems = client.get("/v1/systems").json()["items"]

    assert [system["name"] for system in systems] == [
        "revolution_counter_1",
        "workforce_2",
        "donear_3",
        "system_2",
        "system_3",
    ]
    for system in systems:
        assert client.get(f"/v1/systems/{system['name']}").json() == system
        assert system["description"] and system["features"]
        assert all(feature["description"] for feature in system["features"])


def test_audit_filters_find_what_they_say(served: Served) -> None:
    ada = served.client()
    bob = served.client(ada.org, sub="bob")
    first = ada.created(features=["get_all"])
    second = bob.created(system="donear_3", features=["get_forecast"])
    changed = bob.patch(
        f"/v1/tickets/{first['_id']}", json={"features": ["get_one"]}, headers={"If-Match": '"1"'}
    )

    def found(**asked: str) -> list[tuple[str, str]]:
        answer = ada.get("/v1/audit", params=asked, headers=seen(changed))
        return [(entry["ticketId"], entry["action"]) for entry in answer.json()["items"]]

    created = (first["_id"], "ticket.created")
    other = (second["_id"], "ticket.created")
    swapped = (first["_id"], "ticket.features_changed")
    assert found() == [swapped, other, created]
    assert found(order="oldest") == [created, other, swapped]
    assert found(actor="bob") == [swapped, other]
    assert found(system="donear_3") == [other]
    assert found(action="ticket.features_changed") == [swapped]
    assert found(ticket=first["_id"]) == [swapped, created]
    assert found(feature="get_all") == [swapped, created]
    assert found(feature="get_one") == [swapped]
    recorded = ada.history(second["_id"], changed)[0]["recordedAt"]
    assert other in found(since=recorded)
    assert swapped not in found(before=recorded) and other not in found(before=recorded)
    assert found(since="2100-01-01T00:00:00Z") == []


def test_operators_see_how_the_projections_stand(client: Client, served: Served) -> None:
    client.created()

    items = client.get("/v1/projections").json()["items"]

    assert [item["name"] for item in items] == ["tickets", "audit"]
    for item in items:
        assert item["state"] in ("current", "behind")
        assert item["head"] == served.head
        assert item["lease"]["expired"] is False
        assert ISO.fullmatch(item["lease"]["expiresAt"])
        one = client.get(f"/v1/projections/{item['name']}").json()
        assert one.keys() == item.keys()


def test_what_the_store_says_of_itself_is_for_the_log_alone(
    mongodb_url: str, mongodb_database: Database[Document]
) -> None:
    with serving(mongodb_url) as served:
        ticket = served.client().created()
        mongodb_database["tickets_1"].update_one({}, {"$unset": {"name": 1}})
        with capture_logs() as said:
            answer = served.client("*").get(f"/v1/tickets/{ticket['_id']}")

    problem = refused(answer, 503, "row-unreadable")
    assert ticket["_id"] in problem["detail"] and "KeyError" not in problem["detail"]
    (line,) = [line for line in said if line["event"] == "store.damaged"]
    assert "KeyError" in line["problem"]
    assert line["request_id"] == answer.headers["X-Request-ID"]


def test_a_store_that_does_not_answer_is_not_quoted_either() -> None:
    app = FastAPI()
    failures.install(app)

    @app.get("/")
    async def fail() -> None:
        raise StoreUnavailable("10.1.2.3:27017: connection refused")

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Envelope(app, CollectorRegistry(), {}))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get("/")

    with capture_logs() as said:
        answer = asyncio.run(ask())

    assert refused(answer, 503, "store-unavailable")["detail"] == (
        "The store does not answer. Try again; a command may or may not have been stored: "
        "repeat it with the same Idempotency-Key."
    )
    (line,) = said
    assert "10.1.2.3" in line["problem"]
    assert line["request_id"] == answer.headers["X-Request-ID"]
