"""Bad parameters and headers: a problem document that points at them, and nothing changed."""

from base64 import urlsafe_b64encode
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import httpx
import pytest
from pydantic_core import to_json

from api.http.request import callers
from projections.audit.search import AuditFilter
from tests.support.server import TICKET, Client, Served, new_id, refused
from tests.support.store_cases import one_store

pytestmark = pytest.mark.usefixtures("nothing_changes")


@one_store
@pytest.mark.parametrize(
    ("path", "query", "pointer"),
    [
        ("/v1/tickets", "system=" + "x" * 201, "/query/system"),
        ("/v1/tickets", "name=" + "x" * 401, "/query/name"),
        ("/v1/tickets", "feature=" + "x" * 201, "/query/feature"),
        ("/v1/tickets", "cursor=" + "x" * 201, "/query/cursor"),
        ("/v1/tickets", "limit=1.5", "/query/limit"),
        ("/v1/tickets", "limit=" + "9" * 5000, "/query/limit"),
        ("/v1/audit", "ticket=nope", "/query/ticket"),
        ("/v1/audit", "order=sideways", "/query/order"),
        ("/v1/audit", "actor=" + "x" * 256, "/query/actor"),
        ("/v1/audit", "since=yesterday", "/query/since"),
        ("/v1/audit", "since=2025-01-01T00:00:00", "/query/since"),
        ("/v1/audit", "since=2025-13-01T00:00:00Z", "/query/since"),
        ("/v1/audit", "before=" + "9" * 40, "/query/before"),
        ("/v1/audit", "since=NaN", "/query/since"),
        ("/v1/audit", "since=1761643800", "/query/since"),
        ("/v1/audit", "text=", "/query/text"),
        ("/v1/audit", "text=" + "x" * 201, "/query/text"),
        ("/v1/audit", "sincePosition=-1", "/query/sincePosition"),
        ("/v1/audit", "beforePosition=1e3", "/query/beforePosition"),
        ("/v1/audit", "org=mine", "/query/org"),
    ],
)
def test_a_wrong_query_is_refused(client: Client, path: str, query: str, pointer: str) -> None:
    refused(client.get(f"{path}?{query}"), 400, "invalid-parameter", pointer)


@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00+23:59",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59-23:59",
        "1969-12-31T23:59:59Z",
    ],
)
def test_the_ends_of_time_are_no_trouble(client: Client, moment: str) -> None:
    for name in ("since", "before"):
        answer = client.get("/v1/audit", params={name: moment})
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 400:
            refused(answer, 400, "invalid-parameter", f"/query/{name}")


def forged(question: dict[str, Any], key: str) -> str:
    """A cursor for that question that we never gave."""
    digest = sha256(to_json(question)).hexdigest()[:16]
    return urlsafe_b64encode(f"{digest}{key}".encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "key",
    ["9" * 30, "9" * 90, "-1", "0x10", "1.5", "x", "", "64b000000000000000000001\0", "6" * 25],
)
def test_a_forged_cursor_is_refused(client: Client, ticket: dict[str, Any], key: str) -> None:
    every = {"org_id": client.org, "system": None, "name": None, "feature": None}
    answer = client.get("/v1/tickets", params={"cursor": forged(every, key)})
    refused(answer, 400, "invalid-parameter", "/query/cursor")

    mine = asdict(AuditFilter(org_id=client.org, ticket_id=ticket["_id"]))
    path = f"/v1/tickets/{ticket['_id']}/history"
    assert client.get(path, params={"cursor": forged(mine, "0")}).status_code == 200
    answer = client.get(path, params={"cursor": forged(mine, key)})
    refused(answer, 400, "invalid-parameter", "/query/cursor")


@one_store
@pytest.mark.parametrize("cursor", ["", "x", "====", "!!!", "é", "AAAA", "0" * 200, "%00"])
def test_a_cursor_that_is_none_of_ours_is_refused(client: Client, cursor: str) -> None:
    for path in ("/v1/tickets", "/v1/audit"):
        answer = client.get(path, params={"cursor": cursor})
        refused(answer, 400, "invalid-parameter", "/query/cursor")


@one_store
@pytest.mark.parametrize("position", ["-1", "abc", "", "1.5", "9" * 30, "9" * 5000, str(2**53 + 1)])
def test_a_wrong_min_event_position_is_refused(client: Client, position: str) -> None:
    for path in ("/v1/tickets", f"/v1/tickets/{new_id()}", "/v1/audit"):
        answer = client.get(path, headers={"Min-Event-Position": position})
        refused(answer, 400, "invalid-parameter", "/header/Min-Event-Position")


@one_store
@pytest.mark.parametrize("key", [b"", b"two words", b"x" * 201, b"caf\xe9", b"tab\there"])
def test_a_wrong_idempotency_key_is_refused(client: Client, key: bytes) -> None:
    answer = client.post("/v1/tickets", json=TICKET, headers=[(b"Idempotency-Key", key)])
    refused(answer, 400, "invalid-parameter", "/header/Idempotency-Key")


@one_store
def test_the_organisation_is_never_taken_from_the_query(served: Served, client: Client) -> None:
    other = served.client()
    answer = other.get("/v1/tickets", params={"org": client.org})
    refused(answer, 403, "platform-staff-only")
    for name in ("orgId", "org_id"):
        answer = other.get("/v1/tickets", params={name: client.org})
        refused(answer, 400, "invalid-parameter", f"/query/{name}")


@one_store
@pytest.mark.parametrize(
    ("path", "query", "detail"),
    [
        ("/v1/audit", "acter=nobody", "'acter'. Did you mean 'actor'?"),
        ("/v1/tickets", "limit=5&features=get_all", "'features'. Did you mean 'feature'?"),
        ("/v1/tickets", "Limit=5", "'Limit'. Did you mean 'limit'?"),
        ("/v1/tickets/64b000000000000000000001/history", "q=1", "It takes limit, cursor."),
        ("/v1/systems", "system=donear_3", "It takes none."),
        ("/v1/projections/tickets", "x=", "It takes none."),
    ],
)
def test_a_parameter_that_nobody_knows_is_never_passed_over(
    client: Client, path: str, query: str, detail: str
) -> None:
    problem = client.get(f"{path}?{query}").json()

    (fault,) = problem["errors"]
    assert (problem["code"], fault["code"]) == ("invalid-parameter", "unknown-parameter")
    assert detail in problem["detail"]


@one_store
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/audit?actor=ada&limit=5&actor=bob", "actor"),
        ("/v1/audit/export?granted=&granted=get_all", "granted"),
        ("/v1/diff?from=0&from=5", "from"),
        ("/v1/tickets?limit=5&limit=5", "limit"),
    ],
)
def test_a_parameter_that_is_given_twice_is_never_half_heard(
    client: Client, path: str, name: str
) -> None:
    problem = refused(client.get(path), 400, "invalid-parameter", f"/query/{name}")
    assert problem["errors"][0]["code"] == "repeated-parameter"
    assert f"{name} takes one value, not 2" in problem["detail"]


def test_a_command_with_a_parameter_that_nobody_knows_is_not_done(
    client: Client, ticket: dict[str, Any]
) -> None:
    path, headers = f"/v1/tickets/{ticket['_id']}", {"If-Match": "*"}
    for answer in (
        client.post("/v1/tickets", params={"dry-run": "1"}, json=TICKET),
        client.patch(path, params={"dry-run": "1"}, json={"name": "X"}, headers=headers),
        client.delete(path, params={"dry-run": "1"}, headers=headers),
        client.post(f"{path}/restore", params={"dry-run": "1"}),
    ):
        refused(answer, 400, "invalid-parameter", "/query/dry-run")


@one_store
def test_many_parameters_are_refused_before_anything_looks_at_them(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked_at(*_: object) -> str:
        raise AssertionError("a suggestion was looked for")

    monkeypatch.setattr(callers, "nearest", looked_at)
    query = "&".join(f"p{number}=1" for number in range(101))
    strangers: dict[str, str] = {}
    for headers in (strangers, dict(served.client().headers)):
        answer = httpx.get(f"{served.url}/v1/tickets?{query}", headers=headers)
        problem = refused(answer, 400, "invalid-parameter")
        assert "100 parameters" in problem["detail"]


@one_store
def test_of_many_wrong_parameters_twenty_are_told(client: Client) -> None:
    problem = client.get("/v1/tickets?" + "&".join(f"p{n}=1" for n in range(100))).json()
    assert len(problem["errors"]) == 20


@one_store
@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/" + "x" * 4_096, "A path is limited to 4096 bytes"),
        ("/v1/tickets?name=" + "x" * 32_768, "A query is limited to 32768 bytes"),
    ],
)
def test_a_long_address_is_refused_before_the_caller_is_known(
    served: Served, path: str, sentence: str
) -> None:
    problem = refused(httpx.get(served.url + path), 414, "address-too-long")
    assert sentence in problem["detail"]


@one_store
def test_a_path_is_told_in_part_only(client: Client) -> None:
    for answer in (client.get("/" + "x" * 4_000), client.put("/v1/tickets/" + "x" * 4_000)):
        assert answer.status_code in (404, 405)
        assert len(answer.content) < 600


@one_store
@pytest.mark.parametrize(
    "name", ["Authorization", "Content-Type", "Idempotency-Key", "Min-Event-Position"]
)
def test_a_header_of_one_value_is_refused_when_it_is_given_twice(
    served: Served, client: Client, name: str
) -> None:
    one = {
        "Authorization": client.headers["Authorization"],
        "Content-Type": "application/json",
        "Idempotency-Key": new_id(),
        "Min-Event-Position": "0",
    }
    headers = [*one.items(), (name, one[name])]
    answer = httpx.post(f"{served.url}/v1/tickets", json=TICKET, headers=headers)
    assert name.lower() in refused(answer, 400, "invalid-parameter")["detail"]
