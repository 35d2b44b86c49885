"""A body that a route would not read is refused: somebody meant something by it."""

from typing import Any

import pytest

from tests.support.server import Client, refused
from tests.support.store_cases import one_store


@one_store
@pytest.mark.usefixtures("nothing_changes")
def test_a_reason_in_the_body_of_delete_is_refused_with_where_it_belongs(
    client: Client, ticket: dict[str, Any]
) -> None:
    answer = client.request(
        "DELETE", f"/v1/tickets/{ticket['_id']}", json={"reason": "left"}, headers={"If-Match": "*"}
    )
    problem = refused(answer, 422, "invalid-body", "")
    assert "?reason=" in problem["detail"]


@one_store
@pytest.mark.usefixtures("nothing_changes")
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_command_without_a_body_refuses_one(client: Client, verb: str) -> None:
    answer = client.post(f"/v1/projections/tickets/{verb}", json={"reason": "lunch"})
    refused(answer, 422, "invalid-body", "")


@one_store
def test_an_empty_object_says_nothing_and_is_taken(client: Client) -> None:
    created = client.create()
    path = created.headers["Location"]
    answer = client.request("DELETE", path, json={}, headers={"If-Match": "*"})
    assert answer.status_code == 204
