"""Lists of tickets: the retired ones, by part of a name, and of any organisation for staff."""

from typing import Any

import pytest

from infrastructure.mongodb import ticket_search as on_mongodb
from infrastructure.sqlite import ticket_search as on_sqlite
from tests.support.server import Client, Served, refused, seen
from tests.support.store_cases import one_store


def ids(client: Client, path: str = "/v1/tickets", **asked: Any) -> list[str]:
    answer = client.get(path, params=asked)
    assert answer.status_code == 200, answer.text
    return [ticket["_id"] for ticket in answer.json()["items"]]


def test_retired_tickets_have_a_list_of_their_own(client: Client) -> None:
    here, gone = client.created(), client.created(name="Old shift")
    retired = client.delete(f"/v1/tickets/{gone['_id']}", headers={"If-Match": "*"})
    client.get("/v1/tickets", headers=seen(retired))

    assert ids(client, retired="true") == [gone["_id"]]
    assert ids(client, retired="false") == ids(client) == [here["_id"]]
    assert ids(client, retired="true", system="donear_3") == []
    assert ids(client, retired="true", name="Old shift", feature="get_all") == [gone["_id"]]


def test_tickets_are_found_by_part_of_their_name_in_whatever_case(client: Client) -> None:
    night = client.created(name="Night shift, Straße 4")["_id"]
    day = client.created(name="DAY SHIFT")["_id"]
    client.created(name="Other")

    assert ids(client, nameContains="shift") == sorted([night, day])
    assert ids(client, nameContains="STRASSE") == [night]
    assert ids(client, nameContains="shift", name="DAY SHIFT") == [day]
    assert ids(client, nameContains=".*") == []


def test_a_search_that_looks_at_all_it_may_goes_on_from_there(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (on_sqlite, on_mongodb):
        monkeypatch.setattr(module, "SCAN", 2)
    for number in range(4):
        client.created(name=f"Shift {number}")
    last = client.created(name="Night crew")["_id"]

    answer = client.get("/v1/tickets", params={"nameContains": "crew"})
    pages = 1
    while not answer.json()["items"]:
        answer = client.get(answer.links["next"]["url"])
        pages += 1

    assert [ticket["_id"] for ticket in answer.json()["items"]] == [last]
    assert pages == 3
    other = {"nameContains": "shift", "cursor": client.get("/v1/tickets?limit=1").json()["next"]}
    refused(client.get("/v1/tickets", params=other), 400, "invalid-parameter", "/query/cursor")


def test_platform_staff_choose_the_organisation_of_every_list(served: Served) -> None:
    ada, bob, staff = served.client(), served.client(), served.client("*", sub="root")
    mine, others = ada.created(), bob.created()
    ada.get("/v1/audit")

    assert ids(staff, org=ada.org) == [mine["_id"]]
    assert ids(staff, org=bob.org, nameContains="shift") == ids(bob, nameContains="shift")
    assert ids(staff, org=ada.org, at=others["createdAt"]) == [mine["_id"]]
    for path in ("/v1/audit", "/v1/audit/reads"):
        items = staff.get(path, params={"org": ada.org}).json()["items"]
        assert items and {item["orgId"] for item in items} == {ada.org}


def test_others_may_name_their_own_organisation_alone(served: Served) -> None:
    ada, bob = served.client(), served.client()
    mine = ada.created()["_id"]

    assert ids(ada, org=ada.org) == [mine]
    for path in ("/v1/tickets", "/v1/audit/reads"):
        refused(ada.get(path, params={"org": bob.org}), 403, "platform-staff-only")


@one_store
@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ({"retired": "yes"}, "retired"),
        ({"retired": ""}, "retired"),
        ({"nameContains": ""}, "nameContains"),
        ({"nameContains": "x" * 201}, "nameContains"),
        ({"org": "mine"}, "org"),
        ({"retired": "true", "position": "0"}, "retired"),
        ({"nameContains": "x", "at": "2024-01-01T00:00:00Z"}, "nameContains"),
    ],
)
def test_a_condition_that_cannot_be_met_is_refused(
    client: Client, asked: dict[str, str], parameter: str
) -> None:
    answer = client.get("/v1/tickets", params=asked)
    refused(answer, 400, "invalid-parameter", f"/query/{parameter}")
