"""Numbers in queries and headers are digits, and nothing else that a library would take."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from fastapi.dependencies.models import Dependant

from api.http.app import ROUTERS
from api.http.openapi.document import routes_of
from tests.support.server import Client, Served, refused
from tests.support.store_cases import one_store

ODD: Final = ["1_0", "5.0", " 5", "5 ", "+5", "\uff15", "0x5", "1e1", "true", "9" * 30, ""]


def _numbers(dependant: Dependant) -> Iterator[tuple[str, str]]:
    for kind, fields in (("query", dependant.query_params), ("header", dependant.header_params)):
        for field in fields:
            if "int" in str(field.field_info.annotation):
                yield kind, field.alias
    for inner in dependant.dependencies:
        yield from _numbers(inner)


NUMBERS: Final = sorted(
    (name, kind, parameter)
    for name, route in routes_of(ROUTERS).items()
    for kind, parameter in _numbers(route.dependant)
)


def test_the_numbers_of_all_routes_are_tried() -> None:
    assert len(NUMBERS) >= 15
    assert {"limit", "position", "version", "sincePosition"} <= {name for _, _, name in NUMBERS}


@one_store
@pytest.mark.parametrize(("route", "kind", "name"), NUMBERS)
def test_an_odd_number_is_refused(
    served: Served, client: Client, ticket: dict[str, Any], route: str, kind: str, name: str
) -> None:
    method, _, path = route.partition(" ")
    path = path.format(
        ticket_id=ticket["_id"], name="tickets", system="workforce_2", operation_id="0" * 24
    )
    needed = {"system": "workforce_2", "feature": "get_all", "on": "2026-11-23"}
    query = needed if "/grants" in path else {"from": "0", "to": "0"} if "/diff" in path else {}
    for odd in ODD:
        if kind == "query":
            answer = client.request(method, path, params=query | {name: odd})
        else:
            if odd.strip() == "5":
                continue  # spaces around a header are not part of it
            answer = client.request(
                method, path, params=query, headers=[(name.encode(), odd.encode())]
            )
        refused(answer, 400, "invalid-parameter", f"/{kind}/{name}")


@one_store
@pytest.mark.parametrize("position", ["", "0", "000"])
def test_a_plain_number_is_taken(client: Client, position: str) -> None:
    headers = {"Min-Event-Position": position} if position else {}
    assert client.get("/v1/tickets?limit=007", headers=headers).status_code == 200
