"""`POST /v1/tickets/batch`: many commands in one request, each with its own result."""

from typing import Any

import pytest

from tests.support.server import TICKET, Client, Served, new_id, refused, seen
from tests.support.store_cases import one_store

CREATE = {"action": "create", **TICKET}


def sent(client: Client, *items: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """The results of a batch that is accepted."""
    answer = client.post("/v1/tickets/batch", json={"items": items, **fields})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["items"]
    assert len(results) == len(items)
    return results


def test_every_action_has_its_result_in_order_and_each_sees_the_one_before(client: Client) -> None:
    created = client.create()
    ticket_id = created.json()["_id"]
    here = {"ticketId": ticket_id}

    answer = client.post(
        "/v1/tickets/batch",
        json={
            "items": [
                {"action": "change", **here, "name": "Day shift", "grant": ["delete_area"]},
                {"action": "change", **here, "name": "Day shift"},
                {"action": "retire", **here, "version": 3, "reason": "hall closed"},
                {"action": "change", **here, "name": "Late shift"},
                {"action": "restore", **here},
                CREATE,
            ],
            "reason": "new plan",
        },
    )

    assert answer.status_code == 200, answer.text
    results = answer.json()["items"]
    assert [one["result"] for one in results] == [
        *("changed", "unchanged", "retired", "refused", "restored", "created")
    ]
    assert results[3]["problem"]["code"] == "ticket-retired"
    assert [one["pointer"] for one in results[3]["problem"]["errors"]] == ["/items/3"]
    assert [one["ticket"]["version"] for one in results if "ticket" in one] == [3, 3, 4, 5, 1]
    assert client.ticket(ticket_id, after=answer).json() == results[4]["ticket"]
    new = results[5]["ticket"]
    assert client.ticket(new["_id"], after=answer).json() == new
    reasons = [entry["reason"] for entry in client.history(ticket_id, answer)]
    assert reasons == [None, "new plan", "new plan", "hall closed", "new plan"]
    head = int(created.headers["Event-Position"]) + 5
    assert answer.headers["Event-Position"] == str(head)


def test_a_refused_item_does_not_affect_the_others(client: Client, served: Served) -> None:
    head = served.head
    results = sent(
        client,
        CREATE,
        CREATE | {"features": ["get_all", "delete_aera"]},
        CREATE | {"name": " "},
        {"action": "retire", "ticketId": new_id()},
        CREATE,
    )

    assert [one["result"] for one in results] == ["created", *["refused"] * 3, "created"]
    problems = [one["problem"] for one in results[1:4]]
    codes = ["unknown-feature", "invalid-name", "ticket-not-found"]
    assert [problem["code"] for problem in problems] == codes
    pointers = [problem["errors"][0]["pointer"] for problem in problems]
    assert pointers == ["/items/1/features/1", "/items/2/name", "/items/3"]
    assert [problem["status"] for problem in problems] == [422, 422, 404]
    assert served.head == head + 2


def test_an_atomic_batch_is_taken_whole(client: Client, served: Served) -> None:
    head = served.head
    results = sent(client, CREATE, CREATE, CREATE, atomic=True)
    assert [one["result"] for one in results] == ["created"] * 3
    assert served.head == head + 3


def test_the_first_refusal_is_the_answer_of_an_atomic_batch_and_nothing_is_stored(
    client: Client, served: Served
) -> None:
    ticket = client.created()
    head = served.head
    items = [
        {"action": "change", "ticketId": ticket["_id"], "name": "Day shift"},
        CREATE,
        {"action": "retire", "ticketId": ticket["_id"], "version": 1},
        CREATE | {"features": ["fly"]},
    ]
    body = {"items": items, "atomic": True}
    key = {"Idempotency-Key": new_id()}

    first, again = (client.post("/v1/tickets/batch", json=body, headers=key) for _ in range(2))

    problem = refused(first, 412, "version-conflict", "/items/2")
    assert problem["currentVersion"] == 2
    assert (again.status_code, again.content) == (412, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert served.head == head
    assert client.get(f"/v1/tickets/{ticket['_id']}").json() == ticket


def test_a_batch_that_is_repeated_with_its_key_answers_the_same_list(
    client: Client, served: Served
) -> None:
    ticket_id = client.created()["_id"]
    body = {
        "items": [
            CREATE,
            {"action": "change", "ticketId": ticket_id, "revoke": ["get_all"]},
            {"action": "change", "ticketId": ticket_id, "revoke": ["get_all"]},
            CREATE | {"features": ["delete_aera"]},
            {"action": "retire", "ticketId": ticket_id},
        ]
    }
    key = {"Idempotency-Key": new_id()}
    first = client.post("/v1/tickets/batch", json=body, headers=key)
    client.post(f"/v1/tickets/{ticket_id}/restore")
    head = served.head

    again = client.post("/v1/tickets/batch", json=body, headers=key)

    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["Event-Position"] == first.headers["Event-Position"]
    other = {"items": [*body["items"], CREATE]}
    refused(client.post("/v1/tickets/batch", json=other, headers=key), 422, "key-reused")
    refused(client.create(key), 422, "key-reused")
    assert served.head == head


def test_a_thousand_tickets_are_one_request_and_one_more_is_refused(
    client: Client, served: Served
) -> None:
    head = served.head
    answer = client.post("/v1/tickets/batch", json={"items": [CREATE] * 1_000})
    assert {one["result"] for one in answer.json()["items"]} == {"created"}
    assert served.head == head + 1_000
    ids = {one["ticket"]["_id"] for one in answer.json()["items"]}
    page = client.get("/v1/tickets", params={"limit": 1_000}, headers=seen(answer))
    assert {ticket["_id"] for ticket in page.json()["items"]} == ids
    too_many = client.post("/v1/tickets/batch", json={"items": [CREATE] * 1_001})
    refused(too_many, 422, "invalid-body", "/items")


def test_another_method_at_the_address_is_not_allowed(client: Client) -> None:
    for method in ("GET", "PATCH", "DELETE", "PUT"):
        answer = client.request(method, "/v1/tickets/batch", headers={"If-Match": "*"})
        refused(answer, 405, "method-not-allowed")
        assert answer.headers["Allow"] == "POST"
    elsewhere = client.put(f"/v1/tickets/{new_id()}")
    assert elsewhere.headers["Allow"] == "DELETE, GET, HEAD, PATCH"


def test_tickets_of_another_organisation_are_not_there_and_staff_create_none(
    served: Served,
) -> None:
    ada, other, staff = served.client(), served.client(), served.client("*", sub="root")
    ticket_id = ada.created()["_id"]
    items = [
        {"action": "change", "ticketId": ticket_id, "name": "Mine"},
        {"action": "retire", "ticketId": ticket_id},
        {"action": "restore", "ticketId": ticket_id},
    ]
    codes = {one["problem"]["code"] for one in sent(other, *items)}
    assert codes == {"ticket-not-found"}
    assert [one["result"] for one in sent(staff, *items)] == ["changed", "retired", "restored"]
    head = served.head
    answer = staff.post("/v1/tickets/batch", json={"items": [*items, CREATE]})
    refused(answer, 403, "organisation-required")
    assert served.head == head


@one_store
@pytest.mark.usefixtures("nothing_changes")
@pytest.mark.parametrize(
    ("item", "pointer"),
    [
        ({"action": "create", "system": "workforce_2"}, "/items/1/name"),
        ({"action": "create", **TICKET, "ticketId": "0" * 24}, "/items/1/ticketId"),
        ({"action": "change", "ticketId": "0" * 24}, "/items/1"),
        ({"action": "change", "ticketId": "x", "name": "X"}, "/items/1/ticketId"),
        ({"action": "retire", "ticketId": "0" * 24, "version": -1}, "/items/1/version"),
        ({"action": "retire"}, "/items/1/ticketId"),
        ({"action": "delete", "ticketId": "0" * 24}, "/items/1"),
        ({"ticketId": "0" * 24}, "/items/1"),
        ("create", "/items/1"),
    ],
)
def test_an_item_of_the_wrong_shape_refuses_the_batch_and_is_pointed_at(
    client: Client, item: Any, pointer: str
) -> None:
    answer = client.post("/v1/tickets/batch", json={"items": [CREATE, item]})
    refused(answer, 422, "invalid-body", pointer)


@one_store
@pytest.mark.usefixtures("nothing_changes")
@pytest.mark.parametrize("body", [{}, {"items": []}, {"items": CREATE}, {"items": None}])
def test_a_batch_without_items_is_refused(client: Client, body: Any) -> None:
    refused(client.post("/v1/tickets/batch", json=body), 422, "invalid-body", "/items")
