"""A ticket's life over HTTP, and the versions that guard it, on both stores."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pytest

from tests.support.server import TICKET, Client, Served, etag, refused, seen

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_a_created_ticket_is_answered_in_full_and_found_at_its_location(client: Client) -> None:
    before = datetime.now(UTC)
    answer = client.create(name="Hall 3, Nachtschicht ☾", reason="new hall")

    assert answer.status_code == 201
    ticket = answer.json()
    assert ticket == TICKET | {
        "_id": ticket["_id"],
        "name": "Hall 3, Nachtschicht ☾",
        "orgId": client.org,
        "createdAt": ticket["createdAt"],
        "updatedAt": ticket["createdAt"],
        "version": 1,
    }
    assert re.fullmatch("[0-9a-f]{24}", ticket["_id"])
    assert ISO.fullmatch(ticket["createdAt"])
    created = datetime.fromisoformat(ticket["createdAt"])
    assert abs((created - before).total_seconds()) < 30
    assert answer.headers["ETag"] == '"1"'
    assert answer.headers["Location"] == f"/v1/tickets/{ticket['_id']}"
    found = client.get(answer.headers["Location"], headers=seen(answer))
    assert (found.status_code, found.json()) == (200, ticket)
    assert found.headers["ETag"] == '"1"'
    assert found.headers["Event-Position"] == answer.headers["Event-Position"]


def test_features_keep_the_callers_order_and_a_repeated_name_its_first_place(
    client: Client,
) -> None:
    answer = client.create(features=["get_one", "create_shift", "get_one", "get_all"])

    assert answer.json()["features"] == ["get_one", "create_shift", "get_all"]


def test_a_change_of_name_and_features_is_one_answer_and_two_events(client: Client) -> None:
    created = client.create()
    path = created.headers["Location"]

    changed = client.patch(
        path, json={"name": "Day shift", "features": ["get_one"]}, headers=etag(created)
    )

    assert changed.status_code == 200
    assert changed.headers["ETag"] == '"3"'
    ticket = changed.json()
    assert (ticket["name"], ticket["features"], ticket["version"]) == ("Day shift", ["get_one"], 3)
    assert client.get(path, headers=seen(changed)).json() == ticket
    actions = [entry["action"] for entry in client.history(ticket["_id"], changed)]
    assert actions == ["ticket.created", "ticket.renamed", "ticket.features_changed"]


def test_a_change_that_changes_nothing_stores_nothing(client: Client, served: Served) -> None:
    created = client.create()
    head = served.head

    same = client.patch(
        created.headers["Location"],
        json={"name": TICKET["name"], "features": TICKET["features"]},
        headers=etag(created),
    )

    assert (same.status_code, same.json()) == (200, created.json())
    assert same.headers["ETag"] == '"1"'
    assert same.headers["Event-Position"] == created.headers["Event-Position"]
    assert served.head == head


def test_half_of_a_change_is_never_kept(client: Client, served: Served) -> None:
    created = client.create()
    head = served.head

    answer = client.patch(
        created.headers["Location"],
        json={"name": "Day shift", "features": ["fly"]},
        headers=etag(created),
    )

    refused(answer, 422, "unknown-feature", "/features/0")
    assert served.head == head
    assert client.get(created.headers["Location"], headers=seen(created)).json() == created.json()


def test_a_retired_ticket_is_gone_until_it_is_restored_as_it_was(client: Client) -> None:
    created = client.create()
    path, ticket = created.headers["Location"], created.json()

    retired = client.delete(path, params={"reason": "hall closed"}, headers=etag(created))
    assert (retired.status_code, retired.content) == (204, b"")
    assert retired.headers["ETag"] == '"2"'
    gone = client.get(path, headers=seen(retired))
    refused(gone, 410, "ticket-gone")
    assert gone.headers["ETag"] == '"2"'
    assert client.get("/v1/tickets", headers=seen(retired)).json()["items"] == []
    refused(client.patch(path, json={"name": "X"}, headers=etag(retired)), 409, "ticket-retired")

    restored = client.post(f"{path}/restore", json={"reason": "hall open again"})
    assert restored.status_code == 200
    assert restored.json() == ticket | {"version": 3, "updatedAt": restored.json()["updatedAt"]}
    back = client.get(path, headers=seen(restored))
    assert (back.status_code, back.json()) == (200, restored.json())
    reasons = [entry["reason"] for entry in client.history(ticket["_id"], restored)]
    assert reasons == [None, "hall closed", "hall open again"]


def test_retiring_and_restoring_twice_changes_nothing_more(client: Client, served: Served) -> None:
    created = client.create()
    path = created.headers["Location"]
    retired = client.delete(path, headers=etag(created))
    head = served.head

    again = client.delete(path, headers=etag(retired))
    assert (again.status_code, again.headers["ETag"]) == (204, '"2"')
    assert served.head == head

    first, second = client.post(f"{path}/restore"), client.post(f"{path}/restore")
    assert first.json() == second.json()
    assert served.head == head + 1


def test_history_tells_who_did_what_when_and_why(served: Served) -> None:
    ada = served.client()
    bob = served.client(ada.org, sub="bob@example.org")
    created = ada.create(reason="new hall", headers={"X-Request-ID": "first"})
    ticket = created.json()
    changed = bob.patch(
        created.headers["Location"],
        json={"features": ["get_all", "get_one"], "reason": "no more shifts"},
        headers=etag(created) | {"X-Request-ID": "second"},
    )

    first, second = ada.history(ticket["_id"], changed)

    position = int(created.headers["Event-Position"])
    assert first == {
        "position": position,
        "ticketId": ticket["_id"],
        "version": 1,
        "orgId": ada.org,
        "system": "workforce_2",
        "action": "ticket.created",
        "actor": "ada",
        "reason": "new hall",
        "correlationId": "first",
        "causationId": None,
        "occurredAt": ticket["createdAt"],
        "recordedAt": first["recordedAt"],
        "before": None,
        "after": {"name": ticket["name"], "features": ticket["features"], "retired": False},
        "granted": ticket["features"],
        "revoked": [],
        "hash": first["hash"],
    }
    assert len(bytes.fromhex(first["hash"])) == 32
    assert ISO.fullmatch(first["recordedAt"])
    assert (second["actor"], second["reason"]) == ("bob@example.org", "no more shifts")
    assert (second["position"], second["version"]) == (position + 1, 2)
    assert second["before"] == first["after"]
    assert (second["granted"], second["revoked"]) == (["get_one"], ["create_shift"])


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_change_without_if_match_is_refused(client: Client, served: Served, method: str) -> None:
    path = f"/v1/tickets/{client.created()['_id']}"
    head = served.head

    body = {"name": "Day shift"} if method == "PATCH" else None
    refused(client.request(method, path, json=body), 428, "precondition-required")
    assert served.head == head


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "POST"])
def test_a_stale_if_match_is_refused_with_the_current_version(
    client: Client, served: Served, method: str
) -> None:
    created = client.create()
    path = created.headers["Location"]
    client.patch(path, json={"name": "Day shift"}, headers=etag(created))
    head = served.head

    body = {"name": "Late shift"} if method == "PATCH" else None
    address = f"{path}/restore" if method == "POST" else path
    problem = refused(
        client.request(method, address, json=body, headers=etag(created)), 412, "version-conflict"
    )
    assert problem["currentVersion"] == 2
    assert served.head == head


def test_if_match_with_a_star_takes_any_version(client: Client) -> None:
    created = client.create()
    path = created.headers["Location"]
    client.patch(path, json={"name": "Day shift"}, headers=etag(created))

    changed = client.patch(path, json={"name": "Late shift"}, headers={"If-Match": "*"})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"3"')


@pytest.mark.parametrize(
    "value",
    ["3", '"3', '3"', '"1" "2"', '"1"x', "W/1", 'w/"1"', "x, y", ",", '"1",' * 300, '"1" , *'],
)
def test_an_if_match_that_is_no_list_of_tags_is_refused(client: Client, value: str) -> None:
    path = f"/v1/tickets/{client.created()['_id']}"

    answer = client.patch(path, json={"name": "X"}, headers={"If-Match": value})
    refused(answer, 400, "invalid-parameter", "/header/If-Match")


@pytest.mark.parametrize("value", ['"1", "2"', '"1","9"', '"a,b" ,, W/"2", "1"', '"1",'])
def test_any_tag_of_an_if_match_may_match(client: Client, value: str) -> None:
    path = f"/v1/tickets/{client.created()['_id']}"

    answer = client.patch(path, json={"name": "X"}, headers={"If-Match": value})
    assert (answer.status_code, answer.json()["name"]) == (200, "X")


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "POST"])
@pytest.mark.parametrize(
    "value",
    ['W/"1"', '"01"', '"abc"', '"-1"', '""', '"99999999999999999999"', '"3", "4"', 'W/"1", "7"'],
)
def test_a_tag_that_does_not_match_is_412_with_the_version(
    client: Client, method: str, value: str
) -> None:
    path = f"/v1/tickets/{client.created()['_id']}"
    address = f"{path}/restore" if method == "POST" else path
    body = {"name": "X"} if method == "PATCH" else None

    answer = client.request(method, address, json=body, headers={"If-Match": value})

    problem = refused(answer, 412, "version-conflict")
    assert problem["currentVersion"] == 1
    assert ("weak" in problem["detail"]) == ("W/" in value)


def test_of_many_changes_of_one_version_exactly_one_is_taken(client: Client) -> None:
    created = client.create()
    path = created.headers["Location"]

    def rename(number: int) -> httpx.Response:
        return client.patch(path, json={"name": f"Shift {number}"}, headers=etag(created))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(rename, range(24)))

    (taken,) = [answer for answer in answers if answer.status_code == 200]
    assert sum(answer.status_code == 412 for answer in answers) == 23
    assert client.get(path, headers=seen(taken)).json() == taken.json()


@pytest.mark.parametrize("given", ['"1"', 'W/"1"', '"7", "1"', "*"])
def test_a_read_of_what_the_client_has_already_is_304(client: Client, given: str) -> None:
    path = f"/v1/tickets/{client.created()['_id']}"

    answer = client.get(path, headers={"If-None-Match": given})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["ETag"] == '"1"'


def test_a_read_of_what_has_changed_since_is_answered_in_full(client: Client) -> None:
    created = client.create()
    path = created.headers["Location"]
    changed = client.patch(path, json={"name": "Day shift"}, headers=etag(created))

    answer = client.get(path, headers=seen(changed) | {"If-None-Match": created.headers["ETag"]})
    assert (answer.status_code, answer.json()) == (200, changed.json())
