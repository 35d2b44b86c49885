"""Fixtures for bad input: whatever is sent, nothing may change."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.server import Client, Served


@pytest.fixture
def ticket(client: Client) -> dict[str, Any]:
    """A new ticket of the client's organisation."""
    return client.created()


@pytest.fixture
def nothing_changes(served: Served, client: Client, ticket: dict[str, Any]) -> Iterator[None]:
    """After the test, no event was stored and the ticket is as it was."""
    head = served.head
    yield
    assert served.head == head
    assert client.get(f"/v1/tickets/{ticket['_id']}").json() == ticket
