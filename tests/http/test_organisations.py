"""Each organisation sees its own tickets, and each event its correlation."""

import re
from typing import Any

import pytest

from tests.support.server import TICKET, Client, Served, new_id, refused, seen


def test_another_organisations_ticket_is_not_there(served: Served) -> None:
    ada, other = served.client(), served.client()
    ticket = ada.created()
    path, head = f"/v1/tickets/{ticket['_id']}", served.head
    any_version = {"If-Match": "*"}

    for answer in (
        other.get(path),
        other.patch(path, json={"name": "Mine"}, headers=any_version),
        other.patch(path, json={"name": "Mine"}, headers={"If-Match": '"9"'}),
        other.delete(path, headers=any_version),
        other.post(f"{path}/restore"),
        other.get(f"{path}/history"),
    ):
        problem = refused(answer, 404, "ticket-not-found")
        missing = refused(other.get(f"/v1/tickets/{new_id()}"), 404, "ticket-not-found")
        assert problem.keys() == missing.keys()
    assert other.get("/v1/tickets").json()["items"] == []
    for asked in ({}, {"ticket": ticket["_id"]}, {"actor": "ada"}):
        assert other.get("/v1/audit", params=asked).json()["items"] == []
    assert served.head == head


def test_a_retired_ticket_of_another_organisation_is_not_there_either(served: Served) -> None:
    ada, other = served.client(), served.client()
    path = f"/v1/tickets/{ada.created()['_id']}"
    retired = ada.delete(path, headers={"If-Match": "*"})

    refused(other.get(path, headers=seen(retired)), 404, "ticket-not-found")


def test_platform_staff_see_and_change_every_organisations_tickets(served: Served) -> None:
    ada, bob, staff = served.client(), served.client(), served.client("*", sub="root")
    name = f"Shift {new_id()}"
    ids = [caller.created(name=name)["_id"] for caller in (ada, bob)]
    path = f"/v1/tickets/{ids[0]}"

    found = staff.get("/v1/tickets", params={"name": name}).json()["items"]
    assert [ticket["_id"] for ticket in found] == ids
    renamed = staff.patch(path, json={"name": "Checked"}, headers={"If-Match": '"1"'})
    assert renamed.status_code == 200
    assert ada.get(path, headers=seen(renamed)).json()["name"] == "Checked"
    assert [entry["actor"] for entry in ada.history(ids[0], renamed)] == ["ada", "root"]
    asked = {"ticket": ids[1]}
    assert staff.get("/v1/audit", params=asked).json()["items"][0]["orgId"] == bob.org


def test_a_ticket_needs_an_organisation_so_staff_cannot_create_one(served: Served) -> None:
    head = served.head

    refused(served.client("*").create(), 403, "organisation-required")
    assert served.head == head


def test_a_request_id_is_echoed_and_kept_with_the_event(client: Client) -> None:
    answer = client.create(headers={"X-Request-ID": "order-4711/a"})

    assert answer.headers["X-Request-ID"] == "order-4711/a"
    (entry,) = client.history(answer.json()["_id"], answer)
    assert entry["correlationId"] == "order-4711/a"
    found = client.get("/v1/audit", params={"correlation": "order-4711/a"}).json()["items"]
    assert found == [entry]


def test_a_trace_is_echoed_and_kept_with_the_event(client: Client) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    parent = f"00-{trace}-00f067aa0ba902b7-01"
    answer = client.create(headers={"traceparent": parent})

    assert answer.headers["traceparent"] == parent
    assert answer.headers["X-Request-ID"] == trace
    (entry,) = client.history(answer.json()["_id"], answer)
    assert entry["correlationId"] == trace


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Request-ID": ""},
        {"X-Request-ID": "two words"},
        {"X-Request-ID": "x" * 129},
        {"X-Request-ID": b"caf\xe9"},
        {"traceparent": "00-xyz-1-01"},
    ],
)
def test_without_a_usable_id_one_is_made_and_kept_with_the_event(
    client: Client, headers: dict[str, Any]
) -> None:
    answers = [client.post("/v1/tickets", json=TICKET, headers=headers) for _ in range(2)]

    ids = [answer.headers["X-Request-ID"] for answer in answers]
    assert all(re.fullmatch("[0-9a-f]{32}", made) for made in ids)
    assert len(set(ids)) == 2
    (entry,) = client.history(answers[0].json()["_id"], answers[0])
    assert entry["correlationId"] == ids[0]
