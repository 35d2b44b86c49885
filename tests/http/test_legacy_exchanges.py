"""Every recorded conversation with the old backend is answered alike, byte for byte."""

import json
from collections.abc import Iterator

import pytest
from pymongo.database import Database

from infrastructure.mongodb.client import Document
from tests.support.command import run
from tests.support.old_backend import RECORDED, Conversation, OldBackend, old_backend
from tests.support.server import environment


@pytest.fixture
def backend(
    store_url: str, mongodb_url: str, mongodb_database: Database[Document]
) -> Iterator[OldBackend]:
    with old_backend(store_url, mongodb_url, mongodb_database) as backend:
        yield backend


def test_what_was_recorded_is_answered_alike(backend: OldBackend) -> None:
    hold_recorded(backend)


def test_it_is_answered_alike_from_tickets_that_were_adopted(
    mongodb_url: str, mongodb_database: Database[Document]
) -> None:
    mongodb_database["tickets"].insert_many(RECORDED["tickets"])
    secret = environment(mongodb_url)["TICKETBOOK_AUTH_SECRET"]
    code, _, err = run("migrate", "adopt", store=mongodb_url, TICKETBOOK_AUTH_SECRET=secret)
    assert code == 0, err
    with old_backend(mongodb_url, mongodb_url, mongodb_database, tickets=()) as backend:
        hold_recorded(backend)


def hold_recorded(backend: OldBackend) -> None:
    """Hold every recorded conversation again."""
    conversation = Conversation(backend)
    assert len(RECORDED["exchanges"]) == 37

    for exchange in RECORDED["exchanges"]:
        answer, recorded = conversation.ask(exchange["request"]), exchange["response"]

        expected = conversation.expected(recorded["json"], answer.json())
        assert answer.text == json.dumps(expected, separators=(",", ":")), exchange["why"]
        assert answer.status_code == recorded["status"], exchange["why"]
        assert answer.headers["Content-Type"] == recorded["content_type"], exchange["why"]


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("create without a name (was a server error)", "Name is required"),
        ("malformed _id (was a server error)", "_id is not the id of a ticket"),
        ("a feature the system does not have (was accepted)", "'fly_to_moon'"),
        ("features not a list (was coerced)", "Features must be a list"),
        ("body not JSON (was a server error)", "The body is not JSON"),
        ("no body", "There is no body"),
    ],
)
def test_callers_mistakes_are_told_and_change_nothing(
    backend: OldBackend, why: str, said: str
) -> None:
    (exchange,) = [one for one in RECORDED["improved"] if one["why"] == why]
    before = backend.served.head

    answer = Conversation(backend).ask(exchange["request"])

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == exchange["response"]["content_type"]
    assert list(answer.json()) == ["error"]
    assert said in answer.json()["error"]
    assert backend.served.head == before


def test_every_recorded_mistake_is_looked_at() -> None:
    assert len(RECORDED["improved"]) == 6
