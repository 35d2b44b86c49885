"""A field that is given twice: a gateway in front may have looked at the other one."""

import json
from typing import Any, Final

import pytest

from api.http.app import ROUTERS
from api.http.openapi.document import routes_of
from api.http.request.bodies import BodyRoute
from infrastructure.json_text import read_json
from tests.support.server import TICKET, Client, refused
from tests.support.store_cases import one_store

JSON: Final = {"Content-Type": "application/json"}

ROUTES: Final = sorted(
    name for name, route in routes_of(ROUTERS).items() if route.body_field is not None
)


def test_every_route_with_a_body_reads_it_strictly() -> None:
    assert len(ROUTES) >= 10
    assert all(isinstance(routes_of(ROUTERS)[name], BodyRoute) for name in ROUTES)


@one_store
@pytest.mark.usefixtures("nothing_changes")
@pytest.mark.parametrize("route", ROUTES)
def test_a_field_given_twice_is_refused_with_a_pointer_on(
    client: Client, ticket: dict[str, Any], route: str
) -> None:
    method, _, path = route.partition(" ")
    path = path.format(ticket_id=ticket["_id"], name="tickets", operation_id="0" * 24)
    twice = json.dumps(TICKET)[:-1] + ', "features": ["delete_area"]}'

    answer = client.request(method, path, content=twice, headers=JSON | {"If-Match": "*"})

    problem = refused(answer, 422, "invalid-body", "/features")
    assert problem["errors"][0]["code"] == "repeated-field"
    assert "'features'" in problem["detail"]


@one_store
@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ('{"a": {"b": [1, {"c/d~": 1, "c/d~": 2}]}}', ["/a/b/1/c~1d~0"]),
        ('{"name": 1, "system": 2, "name": 1, "system": 2, "name": 3}', ["/name", "/system"]),
        ('{"\\ud800": 1, "\\ud800": 2}', ["/?"]),
        ('{"a": 1, "\\u0061": 1}', ["/a"]),
        ("{" + ", ".join(f'"{n % 500}": 1' for n in range(1_000)) + "}", None),
        ("[" + "{}," * 100_000 + '{"a": 1, "a": 1}]', [""]),
    ],
)
def test_the_pointers_lead_to_the_fields(
    client: Client, body: str, pointers: list[str] | None
) -> None:
    pointers = [f"/{number}" for number in range(20)] if pointers is None else pointers

    answer = client.post("/v1/tickets", content=body, headers=JSON)

    refused(answer, 422, "invalid-body", *pointers)
    assert len(answer.content) < 4_000


def test_everything_else_is_read_as_the_standard_library_does() -> None:
    values: list[Any] = [
        {"a": [1, 2.5, None, True, "ü"]},
        [],
        "a",
        1,
        [[[]]] * 100,
        {"a": {"a": {}}},
    ]
    for value in values:
        for content in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
            assert read_json(content.encode()) == value
            assert read_json(b"\xef\xbb\xbf" + content.encode()) == value
