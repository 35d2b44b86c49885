"""When the old system's users cannot be looked up, its callers are told so in their own words, in
bounded time, and nobody else notices."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import NoReturn

import httpx
import pytest
from pymongo.database import Database

from api import composition
from api.legacy import tickets
from domain.ticket.events import Recorded, TicketRenamed
from domain.ticket.state import Ticket
from infrastructure.mongodb.client import Document, connect, database
from projections.tickets.projection import TICKETS
from tests.support.mongod import ReplicaSet
from tests.support.node_callers import node_callers
from tests.support.old_backend import USERS, OldBackend, bearer, old_backend, old_token
from tests.support.server import until

NO_ANSWER = {"error": "The user database does not answer. Try again in a moment."}


@pytest.fixture(scope="module")
def users_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    with closing(ReplicaSet(tmp_path_factory.mktemp("users"), members=1)) as replica_set:
        yield replica_set


@pytest.fixture
def backend(mongodb_url: str, users_set: ReplicaSet, tmp_path: Path) -> Iterator[OldBackend]:
    """Its users are in a database of their own."""
    with ExitStack() as stack:
        client = stack.enter_context(connect(users_set.uri))
        client.drop_database("backend")
        users = database(client, "backend")
        address = users_set.uri.replace("/?", "/backend?")
        yield stack.enter_context(old_backend(mongodb_url, address, users))


def is_promised(answer: httpx.Response) -> bool:
    """Whether it is the refusal that was promised."""
    shape = answer.headers["Content-Type"] == "application/json; charset=utf-8"
    return (answer.status_code, answer.json(), shape) == (503, NO_ANSWER, True)


def readiness(backend: OldBackend) -> tuple[int, str]:
    answer = backend.client.get("/readyz")
    return answer.status_code, answer.json()["status"]


@pytest.mark.parametrize("how", ["silent", "gone"])
def test_old_callers_get_503_and_new_ones_notice_nothing(
    backend: OldBackend, users_set: ReplicaSet, how: str
) -> None:
    until(lambda: readiness(backend) == (200, "ready"))
    client, over = backend.served.client(USERS["ada"]), Event()

    def call() -> list[httpx.Response]:
        answers = []
        with httpx.Client(headers=bearer("ada"), timeout=60, verify=False) as caller:
            while not over.is_set():
                answers.append(
                    caller.get(f"{backend.url}/api/ticket/get_tickets?system=workforce_2")
                )
        return answers

    port = users_set.ports[0]
    users_set.freeze() if how == "silent" else users_set.kill(port)
    try:
        with ThreadPoolExecutor(50) as pool:  # more than /v1 and old callers have threads
            calling = [pool.submit(call) for _ in range(50)]
            for number in range(10):
                ticket = client.created(name=f"Crew {number}")
                assert client.get(f"/v1/tickets/{ticket['_id']}").status_code == 200
            assert readiness(backend) == (200, "degraded")
            over.set()
            answers = [answer for one in calling for answer in one.result()]
        # all of them before the users' database is back: nobody waited for that
        assert len(answers) >= 50
        assert all(is_promised(answer) for answer in answers)
    finally:
        over.set()
        users_set.thaw() if how == "silent" else users_set.revive(port)

    until(lambda: backend.list().status_code == 200)
    until(lambda: readiness(backend) == (200, "ready"))


def test_a_socket_is_refused_or_told(backend: OldBackend, users_set: ReplicaSet) -> None:
    with node_callers() as node:
        auth = {"token": old_token("ada")}
        assert node.connect("ada", backend.url, auth=auth)["joined"]
        users_set.freeze()
        try:
            assert node.emit("ada", "workforce_2/get_tickets") == NO_ANSWER
            told = node.connect("late", backend.url, auth=auth)
            assert told == {"refused": NO_ANSWER["error"]}
        finally:
            users_set.thaw()
        until(lambda: isinstance(node.emit("ada", "workforce_2/get_tickets"), list))
        node.ask("close", name="ada")


def test_a_dead_ticket_store_is_told_in_the_old_shape(
    mongodb_url: str, mongodb_database: Database[Document], tmp_path: Path
) -> None:
    with (
        closing(ReplicaSet(tmp_path, members=1)) as tickets,
        old_backend(tickets.uri.replace("/?", "/store?"), mongodb_url, mongodb_database) as backend,
    ):
        port = tickets.kill_primary()
        answer = backend.list()
        tickets.revive(port)

    assert answer.status_code == 503
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"].startswith("The ticket store does not answer.")
    assert "127.0.0.1" not in answer.text


def test_a_change_that_can_not_show_is_not_called_done(
    mongodb_url: str, mongodb_database: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    def project(ticket: Ticket | None, recorded: Recorded) -> Ticket | None:
        if isinstance(recorded.event, TicketRenamed):
            raise ZeroDivisionError("a poisoned event")
        return TICKETS.project(ticket, recorded)

    monkeypatch.setattr(composition, "TICKETS", replace(TICKETS, project=project))
    with old_backend(mongodb_url, mongodb_url, mongodb_database) as backend:
        made = backend.write(name="Crew")
        assert made.status_code == 200
        answer = backend.write(_id=made.json()["_id"], name="Crew B")
        assert answer.status_code == 503
        assert "stored, but does not show yet" in answer.json()["error"]
        assert backend.write(name="Another crew").status_code == 200


def test_what_nobody_foresaw_is_told_in_the_old_shape_and_logged(
    mongodb_url: str,
    mongodb_database: Database[Document],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(*_: object) -> NoReturn:
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr(tickets, "write_request", broken)
    with old_backend(mongodb_url, mongodb_url, mongodb_database) as backend:
        answer = backend.write(name="Crew")

    assert (answer.status_code, answer.json()) == (500, {"error": "Failed to create/update ticket"})
    assert answer.headers["X-Request-ID"] in capsys.readouterr().out
