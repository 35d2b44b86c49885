"""Bad addresses: a problem document that says what there is, and nothing changed."""

import pytest

from tests.support.server import Client, new_id, refused
from tests.support.store_cases import one_store

pytestmark = pytest.mark.usefixtures("nothing_changes")


@one_store
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


@one_store
@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
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
def test_an_address_without_a_route_is_not_found(client: Client, path: str) -> None:
    answer = client.get(path)

    refused(answer, 404, "not-found")
    assert "Location" not in answer.headers


@one_store
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/tickets", "GET, HEAD, POST"),
        ("/v1/tickets/64b000000000000000000001", "DELETE, GET, HEAD, PATCH"),
        ("/v1/tickets/64b000000000000000000001/restore", "POST"),
        ("/v1/audit", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_method_without_a_route_is_405_with_the_methods_that_have_one(
    client: Client, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)

    refused(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == allowed


@one_store
def test_head_is_405_without_a_body_where_get_is_not(client: Client) -> None:
    answer = client.head("/v1/tickets/64b000000000000000000001/restore")

    assert (answer.status_code, answer.content) == (405, b"")
    assert answer.headers["Allow"] == "POST"


@one_store
def test_every_problem_is_explained_at_its_type(client: Client) -> None:
    problem = client.get("/v1/tickets/nope").json()

    explained = client.get(problem["type"]).json()
    assert explained.items() >= {key: problem[key] for key in ("code", "status", "title")}.items()
    assert explained["meaning"] and explained["remedy"]
    assert explained["example"]["code"] == problem["code"]
