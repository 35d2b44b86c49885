"""Bad bodies: a problem document that says what is wrong with them, and nothing changed."""

import json
from typing import Any, Final

import pytest

from tests.support.server import TICKET, Client, refused
from tests.support.store_cases import one_store

pytestmark = pytest.mark.usefixtures("nothing_changes")

JSON: Final = {"Content-Type": "application/json"}

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


ON_BOTH_STORES: Final = ("unknown feature", "unknown system", "empty name", "numbers for features")
"""One body for each code that the writer decides on, and one that never reaches it."""

CHANGES: Final = [what for what, (fields, _, _) in BODIES.items() if "system" not in fields]


@one_store
@pytest.mark.parametrize("what", BODIES)
def test_a_ticket_is_not_created_from(client: Client, what: str) -> None:
    refuse_to_create(client, what)


@one_store
@pytest.mark.parametrize("what", CHANGES)
def test_a_ticket_is_not_changed_by(client: Client, ticket: dict[str, Any], what: str) -> None:
    refuse_to_change(client, ticket, what)


@pytest.mark.parametrize("what", ON_BOTH_STORES)
def test_no_store_keeps_anything_of_a_refused_body(
    client: Client, ticket: dict[str, Any], what: str
) -> None:
    refuse_to_create(client, what)
    if what in CHANGES:
        refuse_to_change(client, ticket, what)


def refuse_to_create(client: Client, what: str) -> None:
    fields, code, pointers = BODIES[what]

    answer = client.post("/v1/tickets", content=json.dumps(TICKET | fields), headers=JSON)

    refused(answer, 422, code, *pointers)


def refuse_to_change(client: Client, ticket: dict[str, Any], what: str) -> None:
    fields, code, pointers = BODIES[what]
    path = f"/v1/tickets/{ticket['_id']}"
    if fields == {"name": None}:  # left out: nothing to change
        pointers = [""]

    answer = client.patch(path, content=json.dumps(fields), headers=JSON | {"If-Match": '"1"'})

    if fields.keys() == {"reason"} or pointers == [""]:
        assert answer.json()["errors"]
        code = "invalid-body"
    refused(answer, 422, code, *pointers)


@one_store
def test_an_unknown_feature_is_named_with_the_nearest_spelling(client: Client) -> None:
    problem = refused(
        client.create(features=["create_shifts"]), 422, "unknown-feature", "/features/0"
    )
    assert problem["errors"][0]["detail"] == (
        "workforce_2 has no feature 'create_shifts'. Did you mean 'create_shift'?"
    )
    problem = refused(client.create(system="workforce"), 422, "unknown-system", "/system")
    assert "Did you mean 'workforce_2'?" in problem["detail"]


@one_store
def test_required_fields_are_all_named(client: Client) -> None:
    refused(client.post("/v1/tickets", json={}), 422, "invalid-body", "/name", "/system")


@one_store
def test_the_system_of_a_ticket_cannot_change(client: Client, ticket: dict[str, Any]) -> None:
    answer = client.patch(
        f"/v1/tickets/{ticket['_id']}", json={"system": "donear_3"}, headers={"If-Match": '"1"'}
    )
    refused(answer, 422, "invalid-body", "/system")


@one_store
@pytest.mark.parametrize("body", [{}, {"reason": "just so"}])
def test_a_change_without_anything_to_change_is_refused(
    client: Client, ticket: dict[str, Any], body: dict[str, Any]
) -> None:
    path = f"/v1/tickets/{ticket['_id']}"

    refused(client.patch(path, json=body, headers={"If-Match": '"1"'}), 422, "invalid-body", "")


@one_store
@pytest.mark.parametrize("body", [[], [TICKET], "text", 5, None, True])
def test_a_body_that_is_no_object_is_refused(client: Client, body: Any) -> None:
    refused(
        client.post("/v1/tickets", content=json.dumps(body), headers=JSON), 422, "invalid-body", ""
    )


@one_store
def test_a_missing_body_is_refused(client: Client) -> None:
    refused(client.post("/v1/tickets"), 422, "invalid-body", "")
    refused(client.post("/v1/tickets", headers=JSON), 422, "invalid-body", "")


@one_store
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
        b'{"name": NaN}',
        json.dumps(TICKET).encode("utf-16"),
        json.dumps(TICKET).encode("utf-16-le"),
        json.dumps(TICKET).encode("utf-16-be"),
        json.dumps(TICKET).encode("utf-32"),
        json.dumps(TICKET).encode("utf-32-le"),
        b"[" * 33 + b"]" * 33,
        b'{"a":' * 32 + b"[]" + b"}" * 32,
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"9" * 5_000,
    ],
    ids=lambda body: repr(body[:20]),
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


@one_store
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
