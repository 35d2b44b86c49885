"""HEAD is GET without the body (RFC 9110, section 9.3.2)."""

from typing import Any, Final

import pytest

from api.http.app import ROUTERS
from api.http.openapi.document import routes_of
from tests.support.health import metrics
from tests.support.server import Client, Served
from tests.support.store_cases import one_store

ALWAYS_OTHER: Final = {"date", "x-request-id", "content-length", "transfer-encoding"}

QUERIES: Final = {
    "/v1/grants": "?system=workforce_2&feature=get_all&on=2026-11-23",
    "/v1/diff": "?from=0&to=0",
}

READS: Final = sorted(
    name.partition(" ")[2] for name in routes_of(ROUTERS) if name.startswith("GET ")
)

OTHERS: Final = ["/docs", "/openapi.json", "/problems", "/problems/not-found", "/nowhere"]


@one_store
@pytest.mark.parametrize("route", [*READS, *OTHERS])
def test_head_answers_as_get_does_without_the_body(
    client: Client, ticket: dict[str, Any], route: str
) -> None:
    path = route.format(
        ticket_id=ticket["_id"],
        name="tickets",
        system="workforce_2",
        operation_id="0" * 24,
        code="not-found",
    ) + QUERIES.get(route, "")

    read, head = client.get(path), client.head(path)

    assert head.status_code == read.status_code
    assert head.content == b""
    assert head.headers.keys() - ALWAYS_OTHER == read.headers.keys() - ALWAYS_OTHER
    for name in ("ETag", "Content-Type", "Event-Position", "Allow"):
        assert head.headers.get(name) == read.headers.get(name)


@one_store
def test_head_knows_what_is_unchanged(client: Client, ticket: dict[str, Any]) -> None:
    answer = client.head(f"/v1/tickets/{ticket['_id']}", headers={"If-None-Match": '"1"'})
    assert (answer.status_code, answer.headers["ETag"]) == (304, '"1"')


@one_store
@pytest.mark.parametrize("path", ["/v1/tickets/{_id}/history", "/v1/audit", "/v1/audit/export"])
def test_head_of_a_read_that_is_recorded_is_recorded(
    client: Client, ticket: dict[str, Any], path: str
) -> None:
    def reads() -> int:
        return len(client.get("/v1/audit/reads?limit=1000").json()["items"])

    before = reads()
    assert client.head(path.format_map(ticket)).status_code == 200
    with_head = reads() - before
    assert client.get(path.format_map(ticket)).status_code == 200
    assert reads() - before == 2 * with_head
    assert with_head >= 1


@one_store
def test_a_method_that_is_not_allowed_hears_of_head(client: Client) -> None:
    assert client.put("/v1/tickets").headers["Allow"] == "GET, HEAD, POST"
    assert client.get("/v1/tickets/" + "0" * 24 + "/restore").headers["Allow"] == "POST"


@one_store
def test_head_is_measured_as_get(served: Served, client: Client) -> None:
    counted = ("ticketbook_http_requests_total", "GET", "/v1/systems", "200")
    before = metrics(client).get(counted, 0)
    client.head("/v1/systems")
    assert metrics(client)[counted] == before + 1
