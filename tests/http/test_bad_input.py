"""Bad input over HTTP: a problem document that says what to do, and nothing changed."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from threading import Event
from time import monotonic
from typing import Any, Final

import httpx
import jwt
import pytest
from pydantic_core import to_json

from api.http.middleware.envelope import BODY_BYTES
from infrastructure.keys.credentials import SCOPES
from projections.audit.search import AuditFilter
from tests.support.server import SECRET, TICKET, Client, Served, new_id, refused

JSON: Final = {"Content-Type": "application/json"}


@pytest.fixture
def ticket(client: Client) -> dict[str, Any]:
    return client.created()


@pytest.fixture(autouse=True)
def nothing_changes(served: Served, client: Client, ticket: dict[str, Any]) -> Iterator[None]:
    """Whatever a test of this module sends, no event is stored and the ticket stays as it is."""
    head = served.head
    yield
    assert served.head == head
    assert client.get(f"/v1/tickets/{ticket['_id']}").json() == ticket


# --- bodies ---

BODIES: Final[dict[str, tuple[dict[str, Any], str, list[str]]]] = {
    "unknown feature": ({"features": ["get_all", "fly"]}, "unknown-feature", ["/features/1"]),
    "unknown features": (
        {"features": ["fly", "get_all", "swim"]},
        "unknown-feature",
        ["/features/0", "/features/2"],
    ),
    "another system's feature": (
        {"features": ["get_forecast"]},
        "unknown-feature",
        ["/features/0"],
    ),
    "unknown system": ({"system": "workforce_9"}, "unknown-system", ["/system"]),
    "system with a NUL": ({"system": "workforce_2\0"}, "unknown-system", ["/system"]),
    "empty name": ({"name": ""}, "invalid-name", ["/name"]),
    "blank name": ({"name": " \u2003 "}, "invalid-name", ["/name"]),
    "over-long name": ({"name": "x" * 201}, "invalid-name", ["/name"]),
    "NUL in the name": ({"name": "a\0b"}, "invalid-name", ["/name"]),
    "line break in the name": ({"name": "a\nb"}, "invalid-name", ["/name"]),
    "DEL in the name": ({"name": "a\x7fb"}, "invalid-name", ["/name"]),
    "C1 control in the name": ({"name": "a\x85b"}, "invalid-name", ["/name"]),
    "half a surrogate pair in the name": ({"name": "a\ud800b"}, "invalid-name", ["/name"]),
    "half a surrogate pair in a feature": (
        {"features": ["\udfff"]},
        "invalid-body",
        ["/features/0"],
    ),
    "half a surrogate pair in the reason": ({"reason": "\ud83d"}, "invalid-body", ["/reason"]),
    "too many features": ({"features": ["get_all"] * 501}, "invalid-features", ["/features"]),
    "far too many features": (
        {"features": ["get_all"] * 6_000},
        "invalid-features",
        ["/features"],
    ),
    "too many features, all wrong": ({"features": [1] * 501}, "invalid-features", ["/features"]),
    "too many features and a wrong name": (
        {"name": 1, "features": ["get_all"] * 501},
        "invalid-body",
        ["/name", "/features"],
    ),
    "over-long feature": ({"features": ["get_all", "x" * 201]}, "invalid-body", ["/features/1"]),
    "over-long system": ({"system": "x" * 201}, "invalid-body", ["/system"]),
    "many unknown fields": ({str(n): 1 for n in range(60)}, "invalid-body", [""]),
    "number for a name": ({"name": 5}, "invalid-body", ["/name"]),
    "null for a name": ({"name": None}, "invalid-body", ["/name"]),
    "list for a system": ({"system": ["workforce_2"]}, "invalid-body", ["/system"]),
    "text for features": ({"features": "get_all"}, "invalid-body", ["/features"]),
    "object for features": ({"features": {"0": "get_all"}}, "invalid-body", ["/features"]),
    "numbers for features": (
        {"features": [1, "get_all", None]},
        "invalid-body",
        ["/features/0", "/features/2"],
    ),
    "over-long reason": ({"reason": "x" * 1001}, "invalid-body", ["/reason"]),
    "unknown field": ({"colour": "red"}, "invalid-body", ["/colour"]),
    "unknown field with / and ~": ({"a/b~c": 1}, "invalid-body", ["/a~1b~0c"]),
    "unknown field with half a surrogate pair": (
        {"\ud800": 1},
        "invalid-body",
        [""],
    ),
    "an organisation": ({"orgId": "64b000000000000000000001"}, "invalid-body", ["/orgId"]),
    "an id": ({"_id": "64b000000000000000000001"}, "invalid-body", ["/_id"]),
    "several at once": (
        {"name": 1, "system": 2, "colour": 3},
        "invalid-body",
        ["/name", "/system", "/colour"],
    ),
}


@pytest.mark.parametrize(("fields", "code", "pointers"), BODIES.values(), ids=BODIES)
def test_a_ticket_is_not_created_from(
    client: Client, fields: dict[str, Any], code: str, pointers: list[str]
) -> None:
    answer = client.post("/v1/tickets", content=json.dumps(TICKET | fields), headers=JSON)

    refused(answer, 422, code, *pointers)


@pytest.mark.parametrize(
    "what", [what for what, (fields, _, _) in BODIES.items() if not {"system"} & fields.keys()]
)
def test_a_ticket_is_not_changed_by(client: Client, ticket: dict[str, Any], what: str) -> None:
    fields, code, pointers = BODIES[what]
    path = f"/v1/tickets/{ticket['_id']}"
    if fields == {"name": None}:  # left out: nothing to change
        pointers = [""]

    answer = client.patch(path, content=json.dumps(fields), headers=JSON | {"If-Match": '"1"'})

    if fields.keys() == {"reason"} or pointers == [""]:
        assert answer.json()["errors"]
        refused(answer, 422, "invalid-body", *pointers)
    else:
        refused(answer, 422, code, *pointers)


def test_an_unknown_feature_is_named_with_the_nearest_spelling(client: Client) -> None:
    problem = refused(
        client.create(features=["create_shifts"]), 422, "unknown-feature", "/features/0"
    )
    assert problem["errors"][0]["detail"] == (
        "workforce_2 has no feature 'create_shifts'. Did you mean 'create_shift'?"
    )
    problem = refused(client.create(system="workforce"), 422, "unknown-system", "/system")
    assert "Did you mean 'workforce_2'?" in problem["detail"]


def test_required_fields_are_all_named(client: Client) -> None:
    refused(client.post("/v1/tickets", json={}), 422, "invalid-body", "/name", "/system")


def test_the_system_of_a_ticket_can_not_change(client: Client, ticket: dict[str, Any]) -> None:
    answer = client.patch(
        f"/v1/tickets/{ticket['_id']}", json={"system": "donear_3"}, headers={"If-Match": '"1"'}
    )
    refused(answer, 422, "invalid-body", "/system")


@pytest.mark.parametrize("body", [{}, {"reason": "just so"}])
def test_a_change_without_anything_to_change_is_refused(
    client: Client, ticket: dict[str, Any], body: dict[str, Any]
) -> None:
    path = f"/v1/tickets/{ticket['_id']}"

    refused(client.patch(path, json=body, headers={"If-Match": '"1"'}), 422, "invalid-body", "")


@pytest.mark.parametrize("body", [[], [TICKET], "text", 5, None, True])
def test_a_body_that_is_no_object_is_refused(client: Client, body: Any) -> None:
    refused(
        client.post("/v1/tickets", content=json.dumps(body), headers=JSON), 422, "invalid-body", ""
    )


def test_a_missing_body_is_refused(client: Client) -> None:
    refused(client.post("/v1/tickets"), 422, "invalid-body", "")
    refused(client.post("/v1/tickets", headers=JSON), 422, "invalid-body", "")


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b'{"name": "x"',
        b'{"name": "x",}',
        b"{'name': 'x'}",
        b'{"name": "\xff\xfe"}',
        b'\x00{"name": "x"}',
        b'{"name": "a\nb"}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"9" * 5_000,
    ],
    ids=lambda body: repr(body[:12]),
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "restore"])
def test_what_is_not_json_is_refused(
    client: Client, ticket: dict[str, Any], method: str, body: bytes
) -> None:
    path = f"/v1/tickets/{ticket['_id']}"
    address = {"POST": "/v1/tickets", "PATCH": path, "restore": f"{path}/restore"}[method]
    verb = "PATCH" if method == "PATCH" else "POST"

    problem = refused(
        client.request(verb, address, content=body, headers=JSON | {"If-Match": '"1"'}),
        400,
        "malformed-json",
    )
    assert problem["detail"].startswith("The body is not JSON: ")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/json",
        "application/jsonish",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "nonsense",
        None,
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "restore"])
def test_a_body_that_is_not_called_json_is_refused(
    client: Client, ticket: dict[str, Any], method: str, content_type: str | None
) -> None:
    path = f"/v1/tickets/{ticket['_id']}"
    address = {"POST": "/v1/tickets", "PATCH": path, "restore": f"{path}/restore"}[method]
    verb = "PATCH" if method == "PATCH" else "POST"
    headers = {"If-Match": '"1"'} | ({"Content-Type": content_type} if content_type else {})

    answer = client.request(verb, address, content=json.dumps(TICKET), headers=headers)
    refused(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("known", [True, False], ids=["length told", "length not told"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "restore"])
def test_a_body_that_is_too_large_is_refused(
    client: Client, ticket: dict[str, Any], method: str, known: bool
) -> None:
    path = f"/v1/tickets/{ticket['_id']}"
    address = {"POST": "/v1/tickets", "restore": f"{path}/restore"}.get(method, path)
    verb = "POST" if method == "restore" else method
    body = json.dumps(TICKET | {"reason": "x" * BODY_BYTES}).encode()
    chunks = (body[start : start + 65_536] for start in range(0, len(body), 65_536))

    answer = client.request(
        verb,
        address,
        content=body if known else chunks,
        headers=JSON | {"If-Match": '"1"', "Idempotency-Key": new_id()},
    )
    problem = refused(answer, 413, "body-too-large")
    assert str(BODY_BYTES) in problem["detail"]


def test_a_key_given_twice_never_smuggles_anything_past_the_rules(client: Client) -> None:
    twice = json.dumps(TICKET)[:-1] + ', "features": ["fly"]}'

    answer = client.post("/v1/tickets", content=twice, headers=JSON)
    refused(answer, 422, "unknown-feature", "/features/0")


# --- addresses ---


@pytest.mark.parametrize(
    "ticket_id",
    [
        "nope",
        "6" * 23,
        "6" * 25,
        "64B000000000000000000001",
        "64b00000000000000000000g",
        "64b000000000000000000001%0A",
        "%00" * 24,
        "٦" * 24,
        "64b000000000000000000001 ",
    ],
)
def test_a_malformed_id_is_refused(client: Client, ticket_id: str) -> None:
    path, any_version = f"/v1/tickets/{ticket_id}", {"If-Match": "*"}

    for answer in (
        client.get(path),
        client.patch(path, json={"name": "X"}, headers=any_version),
        client.delete(path, headers=any_version),
        client.post(f"{path}/restore"),
        client.get(f"{path}/history"),
        client.post(f"/v1/projections/tickets/parked/{ticket_id}/retry"),
    ):
        problem = refused(answer, 400, "invalid-parameter", answer.json()["errors"][0]["pointer"])
        assert problem["errors"][0]["pointer"] == "/path/ticket_id"


def test_a_ticket_nobody_has_is_not_found(client: Client) -> None:
    path, any_version = f"/v1/tickets/{new_id()}", {"If-Match": "*"}

    for answer in (
        client.get(path),
        client.patch(path, json={"name": "X"}, headers=any_version),
        client.delete(path, headers=any_version),
        client.post(f"{path}/restore"),
        client.get(f"{path}/history"),
    ):
        refused(answer, 404, "ticket-not-found")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/tickets/",
        "/v1//tickets",
        "/v2/tickets",
        "/v1/tickets/64b000000000000000000001/",
        "/v1/tickets/64b000000000000000000001/unknown",
        "/v1/systems/",
        "/v1/systems/unknown",
        "/v1/systems/%00",
        "/v1/projections/unknown",
        "/problems/unknown",
        "/%ff%fe",
        "/v1/tickets%2F64b000000000000000000001%2Fhistory%2Fx",
    ],
)
def test_where_there_is_nothing_it_is_said(client: Client, path: str) -> None:
    answer = client.get(path)

    refused(answer, 404, "not-found")
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/tickets", "GET, POST"),
        ("/v1/tickets/64b000000000000000000001", "DELETE, GET, PATCH"),
        ("/v1/tickets/64b000000000000000000001/restore", "POST"),
        ("/v1/audit", "GET"),
        ("/healthz", "GET"),
        ("/metrics", "GET"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_method_that_is_not_there_is_405_with_those_that_are(
    client: Client, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)

    refused(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == allowed


def test_head_is_405_without_a_body(client: Client) -> None:
    answer = client.head("/v1/tickets")

    assert (answer.status_code, answer.content) == (405, b"")
    assert answer.headers["Allow"] == "GET, POST"


# --- parameters and headers ---


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

    mine = asdict(AuditFilter(client.org, ticket_id=ticket["_id"]))
    path = f"/v1/tickets/{ticket['_id']}/history"
    assert client.get(path, params={"cursor": forged(mine, "0")}).status_code == 200
    answer = client.get(path, params={"cursor": forged(mine, key)})
    refused(answer, 400, "invalid-parameter", "/query/cursor")


@pytest.mark.parametrize("cursor", ["", "x", "====", "!!!", "é", "AAAA", "0" * 200, "%00"])
def test_a_cursor_that_is_none_of_ours_is_refused(client: Client, cursor: str) -> None:
    for path in ("/v1/tickets", "/v1/audit"):
        answer = client.get(path, params={"cursor": cursor})
        refused(answer, 400, "invalid-parameter", "/query/cursor")


@pytest.mark.parametrize("position", ["-1", "abc", "", "1.5", "9" * 30, "9" * 5000, str(2**53 + 1)])
def test_a_wrong_min_event_position_is_refused(client: Client, position: str) -> None:
    for path in ("/v1/tickets", f"/v1/tickets/{new_id()}", "/v1/audit"):
        answer = client.get(path, headers={"Min-Event-Position": position})
        refused(answer, 400, "invalid-parameter", "/header/Min-Event-Position")


@pytest.mark.parametrize("key", [b"", b"two words", b"x" * 201, b"caf\xe9", b"tab\there"])
def test_a_wrong_idempotency_key_is_refused(client: Client, key: bytes) -> None:
    answer = client.post("/v1/tickets", json=TICKET, headers=[(b"Idempotency-Key", key)])
    refused(answer, 400, "invalid-parameter", "/header/Idempotency-Key")


def test_the_organisation_is_never_taken_from_the_query(served: Served, client: Client) -> None:
    other = served.client()
    for name in ("org", "orgId", "org_id"):
        answer = other.get("/v1/tickets", params={name: client.org})
        refused(answer, 400, "invalid-parameter", f"/query/{name}")


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


# --- tokens ---


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token that differs from a good one by `claims`; None leaves a claim out."""
    every = {
        "iss": "ticketbook",
        "aud": "ticketbook",
        "sub": "ada",
        "org": new_id(),
        "scope": " ".join(SCOPES),
        "exp": datetime.now(UTC) + timedelta(hours=1),
    } | claims
    return jwt.encode(
        {name: value for name, value in every.items() if value is not None}, secret, algorithm
    )


def unsigned() -> str:
    head, claims, _ = signed().split(".")
    none = urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    assert head != none
    return f"{none}.{claims}."


def altered() -> str:
    """Somebody else's claims under a good signature."""
    head, _, signature = signed().split(".")
    return f"{head}.{signed(org='*').split('.')[1]}.{signature}"


LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
LATER: Final = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Attempt:
    authorization: str | bytes | None
    code: str


ATTEMPTS: Final = {
    "nothing": Attempt(None, "token-missing"),
    "another scheme": Attempt("Basic YWRhOnNlY3JldA==", "token-missing"),
    "no token": Attempt("Bearer", "token-missing"),
    "no scheme": Attempt(signed(), "token-missing"),
    "garbage": Attempt("Bearer garbage", "token-invalid"),
    "three empty parts": Attempt("Bearer ..", "token-invalid"),
    "no ASCII": Attempt(b"Bearer \xe9\xff", "token-invalid"),
    "very long": Attempt("Bearer " + "a" * 9_000, "token-invalid"),
    "unsigned": Attempt(f"Bearer {unsigned()}", "token-invalid"),
    "another secret": Attempt(f"Bearer {signed('x' * 40)}", "token-invalid"),
    "another algorithm": Attempt(f"Bearer {signed('x' * 64, 'HS512')}", "token-invalid"),
    "our secret, another algorithm": Attempt(
        f"Bearer {signed((SECRET * 2)[:64], 'HS512')}", "token-invalid"
    ),
    "altered": Attempt(f"Bearer {altered()}", "token-invalid"),
    "expired": Attempt(f"Bearer {signed(exp=LONG_AGO)}", "token-expired"),
    "not valid yet": Attempt(f"Bearer {signed(nbf=LATER)}", "token-not-yet-valid"),
    "another audience": Attempt(f"Bearer {signed(aud='shop')}", "token-invalid"),
    "another issuer": Attempt(f"Bearer {signed(iss='shop')}", "token-invalid"),
    "no expiry": Attempt(f"Bearer {signed(exp=None)}", "token-invalid"),
    "no subject": Attempt(f"Bearer {signed(sub=None)}", "token-invalid"),
    "no organisation": Attempt(f"Bearer {signed(org=None)}", "token-invalid"),
    "a made-up organisation": Attempt(f"Bearer {signed(org='mine')}", "token-invalid"),
    "a subject with a line break": Attempt(f"Bearer {signed(sub='a' + chr(10))}", "token-invalid"),
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_a_token_is_not_accepted(served: Served, attempt: Attempt) -> None:
    headers: dict[str, Any] = {}
    if attempt.authorization is not None:
        headers["Authorization"] = attempt.authorization
    with httpx.Client(base_url=served.url, headers=headers) as stranger:
        for answer in (stranger.get("/v1/tickets"), stranger.post("/v1/tickets", json=TICKET)):
            refused(answer, 401, attempt.code)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


SCOPE_OF: Final = {
    ("get", "/v1/tickets"): "tickets:read",
    ("post", "/v1/tickets"): "tickets:write",
    ("get", "/v1/tickets/{ticket_id}"): "tickets:read",
    ("patch", "/v1/tickets/{ticket_id}"): "tickets:write",
    ("delete", "/v1/tickets/{ticket_id}"): "tickets:write",
    ("post", "/v1/tickets/{ticket_id}/restore"): "tickets:write",
    ("get", "/v1/tickets/{ticket_id}/history"): "tickets:read",
    ("get", "/v1/systems"): "tickets:read",
    ("get", "/v1/systems/{system}"): "tickets:read",
    ("get", "/v1/audit"): "audit:read",
    ("get", "/v1/audit/reads"): "audit:read",
    ("get", "/v1/grants"): "audit:read",
    ("get", "/v1/diff"): "audit:read",
    ("get", "/v1/audit/head"): "audit:read",
    ("get", "/v1/audit/export"): "audit:read",
    ("get", "/v1/projections"): "projections:operate",
    ("get", "/v1/projections/{name}"): "projections:operate",
    ("post", "/v1/projections/{name}/parked/{ticket_id}/retry"): "projections:operate",
    ("post", "/v1/projections/{name}/parked/{ticket_id}/skip"): "projections:operate",
    ("post", "/v1/projections/{name}/rebuild"): "projections:operate",
    ("post", "/v1/projections/{name}/rollback"): "projections:operate",
    ("post", "/v1/projections/{name}/drop-old"): "projections:operate",
    ("post", "/v1/projections/{name}/verify"): "projections:operate",
    ("post", "/v1/projections/{name}/cancel"): "projections:operate",
    ("post", "/v1/projections/{name}/pause"): "projections:operate",
    ("post", "/v1/projections/{name}/resume"): "projections:operate",
    ("post", "/v1/projections/{name}/throttle"): "projections:operate",
    ("get", "/v1/operations"): "projections:operate",
    ("get", "/v1/operations/{operation_id}"): "projections:operate",
}


def test_every_route_asks_for_a_token_and_for_its_scope(
    served: Served, ticket: dict[str, Any]
) -> None:
    """Without a token 401, with every scope but the route's own 403, with that one alone neither.
    A new route must be entered above."""
    routes = httpx.get(f"{served.url}/openapi.json").json()["paths"]
    under_v1 = {(m, path) for path in routes if path.startswith("/v1") for m in routes[path]}
    assert under_v1 == SCOPE_OF.keys()

    for (method, path), scope in SCOPE_OF.items():
        others = " ".join(other for other in SCOPES if other != scope)
        named = {"ticket_id": new_id(), "operation_id": new_id(), "name": "none of ours"}
        address = path.format(system="workforce_2", **named)
        body = {"name": ""} if method in ("post", "patch") and "{name}" not in path else None
        if path.endswith("/restore"):
            body = None
        headers = {"If-Match": "*"}
        for caller in (served.client(scope=others), served.client(scope="")):
            answer = caller.request(method, address, json=body, headers=headers)
            assert scope in refused(answer, 403, "scope-missing")["detail"]
        answer = httpx.request(method, served.url + address, json=body, headers=headers)
        refused(answer, 401, "token-missing")
        answer = served.client(scope=scope).request(method, address, json=body, headers=headers)
        assert answer.status_code not in (401, 403), (method, path, answer.text)


def test_every_problem_is_explained_at_its_type(client: Client) -> None:
    problem = client.get("/v1/tickets/nope").json()

    explained = client.get(problem["type"]).json()
    assert explained == {"code": problem["code"], "status": 400, "title": problem["title"]}


ENORMOUS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "wrong features": ({"features": [1] * 520_000}, "invalid-features"),
    "unknown fields": ({str(number): 1 for number in range(95_000)}, "invalid-body"),
}


@pytest.mark.parametrize(("fields", "code"), ENORMOUS.values(), ids=ENORMOUS)
def test_a_body_that_is_all_wrong_is_answered_briefly_and_keeps_nobody_waiting(
    client: Client, fields: dict[str, Any], code: str
) -> None:
    body = json.dumps(TICKET | fields, separators=(",", ":"))
    assert BODY_BYTES * 0.85 < len(body) <= BODY_BYTES
    slowest, answered = 0.0, Event()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(client.post, "/v1/tickets", content=body, headers=JSON)
        sending.add_done_callback(lambda _: answered.set())
        with httpx.Client(base_url=client.base_url, verify=False) as other:
            while not answered.is_set():
                started = monotonic()
                assert other.get("/healthz").status_code == 200
                slowest = max(slowest, monotonic() - started)
        answer = sending.result()

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert len(answer.content) < 1_000
    assert slowest < 0.5


def test_of_many_faults_twenty_are_told_and_how_many_more_there_are(client: Client) -> None:
    for features, code in (([1] * 500, "invalid-body"), (["fly"] * 500, "unknown-feature")):
        problem = client.create(features=features).json()
        assert (problem["code"], len(problem["errors"])) == (code, 21)
        assert "480 more" in problem["errors"][-1]["detail"]
