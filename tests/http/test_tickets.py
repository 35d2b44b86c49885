"""`/v1` as its clients meet it: every convention, over HTTP, on both stores."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pymongo.database import Database
from structlog.testing import capture_logs

from api.http.errors import failures
from api.http.middleware.envelope import Envelope
from api.use_cases import submission
from domain.errors import StoreUnavailable
from infrastructure.mongodb.client import Document
from tests.support.mongod import ReplicaSet
from tests.support.server import TICKET, Client, Served, new_id, refused, seen, serving

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def etag(answer: httpx.Response) -> dict[str, str]:
    """The header that allows a change of what `answer` told."""
    return {"If-Match": answer.headers["ETag"]}


def pages(client: Client, path: str, **asked: Any) -> Iterator[list[dict[str, Any]]]:
    """Every page, by way of the Link header."""
    answer = client.get(path, params=asked)
    while True:
        assert answer.status_code == 200, answer.text
        yield answer.json()["items"]
        if "next" not in answer.links:
            assert answer.json()["next"] is None
            return
        answer = client.get(answer.links["next"]["url"])


# --- a ticket's life ---


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


# --- versions ---


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
    "value", ["3", '"x"', '"1", "2"', 'W/"1"', '"-1"', '""', '"99999999999999999999"']
)
def test_an_if_match_that_is_no_etag_of_ours_is_refused(client: Client, value: str) -> None:
    path = f"/v1/tickets/{client.created()['_id']}"

    answer = client.patch(path, json={"name": "X"}, headers={"If-Match": value})
    refused(answer, 400, "invalid-parameter", "/header/If-Match")


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


# --- idempotency keys ---


def test_a_repeated_key_replays_the_first_answer(client: Client, served: Served) -> None:
    key = {"Idempotency-Key": new_id()}
    first = client.create(key)
    client.patch(first.headers["Location"], json={"name": "Day shift"}, headers=etag(first))
    head = served.head

    again = client.create(key)

    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.content) == (201, first.content)
    for header in ("Location", "ETag", "Event-Position"):
        assert again.headers[header] == first.headers[header]
    assert served.head == head


def test_every_command_can_be_repeated_with_its_key(client: Client, served: Served) -> None:
    created = client.create()
    path = created.headers["Location"]

    def twice(method: str, address: str, body: Any, **headers: str) -> httpx.Response:
        headers["Idempotency-Key"] = new_id()
        first, again = (
            client.request(method, address, json=body, headers=headers) for _ in range(2)
        )
        assert first.is_success and "Idempotent-Replayed" not in first.headers
        assert again.headers["Idempotent-Replayed"] == "true"
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["ETag"] == first.headers["ETag"]
        return first

    head = served.head
    changed = twice("PATCH", path, {"name": "Day shift"}, **etag(created))
    retired = twice("DELETE", path, None, **etag(changed))
    twice("POST", f"{path}/restore", None, **etag(retired))
    assert served.head == head + 3


def test_a_refusal_is_replayed_too(client: Client, served: Served) -> None:
    headers = {"Idempotency-Key": new_id(), "If-Match": '"1"'}
    ticket = client.created()
    path = f"/v1/tickets/{ticket['_id']}"
    client.patch(path, json={"name": "Day shift"}, headers={"If-Match": '"1"'})
    first = client.patch(path, json={"name": "Late shift"}, headers=headers)
    client.patch(path, json={"name": "Early shift"}, headers={"If-Match": '"2"'})

    again = client.patch(path, json={"name": "Late shift"}, headers=headers)

    assert refused(first, 412, "version-conflict")["currentVersion"] == 2
    assert (again.status_code, again.content) == (412, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("other", ["body", "address", "method", "If-Match"])
def test_a_key_that_comes_back_with_another_command_is_refused(
    client: Client, served: Served, other: str
) -> None:
    created = client.create()
    path, elsewhere = created.headers["Location"], f"/v1/tickets/{client.created()['_id']}"
    headers = etag(created) | {"Idempotency-Key": new_id()}
    assert client.patch(path, json={"name": "Day shift"}, headers=headers).status_code == 200
    head = served.head

    answer = {
        "body": lambda: client.patch(path, json={"name": "Late shift"}, headers=headers),
        "address": lambda: client.patch(elsewhere, json={"name": "Day shift"}, headers=headers),
        "method": lambda: client.delete(path, headers=headers),
        "If-Match": lambda: client.patch(
            path, json={"name": "Day shift"}, headers=headers | {"If-Match": '"2"'}
        ),
    }[other]()

    refused(answer, 422, "key-reused")
    assert served.head == head


def test_a_key_that_comes_back_with_another_query_is_refused(client: Client) -> None:
    created = client.create()
    path, headers = created.headers["Location"], etag(created) | {"Idempotency-Key": new_id()}
    assert client.delete(path, params={"reason": "closed"}, headers=headers).status_code == 204

    answer = client.delete(path, params={"reason": "sold"}, headers=headers)
    refused(answer, 422, "key-reused")


def test_a_key_is_private_to_its_caller(served: Served) -> None:
    ada, other = served.client(), served.client()
    bob = served.client(ada.org, sub="bob")
    key = {"Idempotency-Key": "the-same-for-everybody"}

    answers = [caller.create(key) for caller in (ada, bob, other)]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert len({answer.json()["_id"] for answer in answers}) == 3


def test_a_command_whose_first_sending_still_runs_is_409(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "RUNNING_SECONDS", 0.3)
    replica_set = ReplicaSet(tmp_path, members=1)
    try:
        with serving(replica_set.uri.replace("/?", "/frozen?")) as served:
            client = served.client()
            head = served.head
            key = {"Idempotency-Key": "k"}
            with ThreadPoolExecutor(2) as pool:
                replica_set.freeze()
                sendings = [pool.submit(client.create, key) for _ in range(2)]
                (early,), (late,) = wait(sendings, return_when=FIRST_COMPLETED)
                replica_set.thaw()
                problem = early.result()
                refused(problem, 409, "command-in-progress")
                assert problem.headers["Retry-After"] == "1"
                again = client.create(key)
                assert again.headers["Idempotent-Replayed"] == "true"
                assert (again.status_code, again.content) == (201, late.result().content)
            assert served.head == head + 1
    finally:
        replica_set.close()


# --- pages ---


def test_pages_follow_each_other_without_gap_or_repetition(client: Client) -> None:
    ids = [client.created(name=f"Shift {number}")["_id"] for number in range(7)]

    found = list(pages(client, "/v1/tickets", limit=3))

    assert [len(page) for page in found] == [3, 3, 1]
    assert [ticket["_id"] for page in found for ticket in page] == sorted(ids)


def test_a_page_is_the_last_when_it_holds_exactly_what_is_left(client: Client) -> None:
    for _ in range(4):
        client.created()

    assert [len(page) for page in pages(client, "/v1/tickets", limit=2)] == [2, 2]


def test_a_page_holds_50_items_unless_asked_and_at_most_1000(client: Client) -> None:
    for _ in range(51):
        last = client.create()

    assert len(client.get("/v1/tickets", headers=seen(last)).json()["items"]) == 50
    assert len(client.get("/v1/tickets", params={"limit": 1000}).json()["items"]) == 51
    for limit in (0, -1, 1001, "many", ""):
        answer = client.get("/v1/tickets", params={"limit": limit})
        refused(answer, 400, "invalid-parameter", "/query/limit")


def test_changes_while_paging_neither_repeat_nor_skip_a_ticket(client: Client) -> None:
    ids = sorted(client.created()["_id"] for _ in range(9))
    found: list[str] = []

    for page in pages(client, "/v1/tickets", limit=3):
        found += [ticket["_id"] for ticket in page]
        if len(found) == 3:
            retired = client.delete(f"/v1/tickets/{found[-1]}", headers={"If-Match": "*"})
            client.ticket(found[-1], after=retired)
            client.created()

    assert [ticket_id for ticket_id in found if ticket_id in ids] == ids
    assert len(set(found)) == len(found)


def test_entries_added_while_paging_the_audit_log_are_not_repeated_into_it(
    client: Client,
) -> None:
    for _ in range(6):
        client.created()
    found: list[int] = []

    for page in pages(client, "/v1/audit", limit=2):
        found += [entry["position"] for entry in page]
        client.created()

    assert len(found) == 6
    assert found == sorted(set(found), reverse=True)


def test_history_comes_in_pages_too(client: Client) -> None:
    created = client.create()
    path, last = created.headers["Location"], created
    for number in range(4):
        last = client.patch(path, json={"name": f"Shift {number}"}, headers=etag(last))
    client.history(created.json()["_id"], last)

    found = list(pages(client, f"{path}/history", limit=2))
    assert [[entry["version"] for entry in page] for page in found] == [[1, 2], [3, 4], [5]]


@pytest.mark.parametrize(
    "asked",
    [{"system": "workforce_2"}, {"name": "Night shift ☾"}, {"feature": "get_all"}],
)
def test_the_link_to_the_next_page_keeps_the_filters(client: Client, asked: dict[str, str]) -> None:
    for _ in range(3):
        client.created(name="Night shift ☾")
    client.created(name="Other", system="donear_3", features=["get_forecast"])

    answer = client.get("/v1/tickets", params={**asked, "limit": 2})

    link = urlsplit(answer.links["next"]["url"])
    query = {**asked, "limit": "2", "cursor": answer.json()["next"]}
    assert link.path == "/v1/tickets"
    assert parse_qs(link.query) == {name: [value] for name, value in query.items()}
    assert len(client.get(link.geturl()).json()["items"]) == 1


def test_a_cursor_is_bound_to_its_question_and_its_organisation(served: Served) -> None:
    ada, other = served.client(), served.client()
    for client in (ada, other):
        for _ in range(3):
            client.created()
    cursor = ada.get("/v1/tickets", params={"limit": 1}).json()["next"]
    ticket = ada.get("/v1/tickets").json()["items"][0]["_id"]

    assert ada.get("/v1/tickets", params={"limit": 2, "cursor": cursor}).status_code == 200
    for client, path, asked in (
        (ada, "/v1/tickets", {"system": "workforce_2"}),
        (ada, "/v1/tickets", {"name": "Night shift"}),
        (ada, "/v1/tickets", {"feature": "get_all"}),
        (ada, "/v1/audit", {}),
        (ada, f"/v1/tickets/{ticket}/history", {}),
        (other, "/v1/tickets", {}),
        (served.client("*"), "/v1/tickets", {}),
    ):
        answer = client.get(path, params={**asked, "cursor": cursor})
        refused(answer, 400, "invalid-parameter", "/query/cursor")


def test_filters_find_what_they_say(client: Client) -> None:
    night = client.created(name="Night shift", features=["get_all", "get_one"])
    day = client.created(name="Day shift", features=["get_one"])
    forecast = client.created(name="Day shift", system="donear_3", features=["get_all"])

    def found(**asked: str) -> list[str]:
        items = client.get("/v1/tickets", params=asked).json()["items"]
        return [ticket["_id"] for ticket in items]

    assert found() == sorted(ticket["_id"] for ticket in (night, day, forecast))
    assert found(system="donear_3") == [forecast["_id"]]
    assert found(name="Night shift") == [night["_id"]]
    assert found(name="Night") == []
    assert found(feature="get_one") == sorted([night["_id"], day["_id"]])
    assert found(name="Day shift", feature="get_all", system="donear_3") == [forecast["_id"]]
    assert found(name="Night shift", system="donear_3") == []


# --- organisations ---


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


def test_a_ticket_needs_an_organisation_so_staff_can_not_create_one(served: Served) -> None:
    head = served.head

    refused(served.client("*").create(), 403, "organisation-required")
    assert served.head == head


# --- correlation ---


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


# --- systems, audit, projections ---


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

    problem = refused(answer, 500, "internal-error")
    request_id = answer.headers["X-Request-ID"]
    assert problem["detail"] == f"The failure is in the service's log under {request_id}."
    assert request_id in [line.get("request_id") for line in said]


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
