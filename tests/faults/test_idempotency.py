"""A command with an idempotency key happens once and is answered the same, whatever goes wrong."""

import resource
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from http.client import HTTPException

import pytest

from tests.support.server import (
    TICKET,
    Answer,
    Client,
    ServerProcess,
    Wire,
    new_id,
    serving_apart,
    token_for,
    until,
)

MANY = pytest.mark.parametrize("many", [120, pytest.param(1_000, marks=pytest.mark.exhaustive)])
"""How often one command is sent."""

AGAIN = frozenset({409, 503})
"""Answers that say: repeat this."""


@pytest.fixture(scope="module", autouse=True)
def many_connections() -> None:
    """A thousand connections are more open files than some systems give unasked."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4_000), most))


class Posts:
    """Posts of one command under one key, each on a connection of its own, all sent before any
    answer is looked at."""

    def __init__(self, many: int) -> None:
        self.many = many
        self.answers: list[Answer] = []
        self.unanswered = 0
        self._headers = {
            "Authorization": f"Bearer {token_for(new_id())}",
            "Idempotency-Key": new_id(),
        }

    def send(self, count: int, *servers: ServerProcess) -> "Sent":
        return Sent(self, count, [(server.url, self._headers) for server in servers])

    def check(self, server: ServerProcess) -> None:
        """One event, and answers that are all the same byte for byte."""
        assert Counter(answer.status for answer in self.answers) == {201: self.many}
        assert len({answer.body for answer in self.answers}) == 1
        for header in ("ETag", "Location", "Event-Position"):
            assert len({answer.headers[header] for answer in self.answers}) == 1
        with Client(server.url, "*") as staff:
            first = {"Min-Event-Position": "1"}
            until(lambda: staff.get("/v1/tickets", headers=first).status_code == 200)
            until(lambda: staff.get("/v1/audit", headers=first).status_code == 200)
            (ticket,) = staff.get("/v1/tickets").json()["items"]
            (entry,) = staff.get("/v1/audit").json()["items"]
        assert ticket == self.answers[0].json()
        assert (entry["ticketId"], entry["position"]) == (ticket["_id"], 1)

    def first_answers(self) -> int:
        return sum("Idempotent-Replayed" not in answer.headers for answer in self.answers)


class Sent:
    """Posts on their way."""

    def __init__(
        self, posts: Posts, count: int, targets: Sequence[tuple[str, dict[str, str]]]
    ) -> None:
        self._posts = posts
        self._wires = [Wire(*targets[number % len(targets)]) for number in range(count)]
        for wire in self._wires:
            wire.send("POST", "/v1/tickets", TICKET)

    def take(self, count: int | None = None) -> None:
        """Wait for so many answers (default: for all that are left)."""
        some = self._wires if count is None else self._wires[:count]
        for wire in some:
            with closing(wire):
                try:
                    answer = wire.answer()
                except (OSError, HTTPException):
                    self._posts.unanswered += 1
                    continue
            if answer.status in AGAIN:
                self._posts.unanswered += 1
            else:
                self._posts.answers.append(answer)
        self._wires = self._wires[len(some) :]


@pytest.fixture
def server(store_url: str) -> Iterator[ServerProcess]:
    with serving_apart(store_url) as running:
        yield running


@MANY
def test_many_posts_with_one_key_make_one_ticket(server: ServerProcess, many: int) -> None:
    posts = Posts(many)

    posts.send(many, server).take()

    posts.check(server)
    assert posts.first_answers() == 1


@pytest.mark.parametrize(
    ("answered", "many"),
    [
        (0, 120),
        (1, 120),
        (24, 120),
        *(pytest.param(few, 1_000, marks=pytest.mark.exhaustive) for few in (0, 1, 200)),
    ],
)
def test_killing_the_service_in_between_makes_no_second_ticket(
    server: ServerProcess, answered: int, many: int
) -> None:
    """Killed when so many of the first half are answered; the others, and whoever got no answer,
    ask the service that is started after it."""
    posts = Posts(many)
    sent = posts.send(many // 2, server)
    sent.take(answered)

    server.kill()
    sent.take()
    server.start()
    posts.send(many // 2 + posts.unanswered, server).take()

    posts.check(server)
    assert posts.first_answers() <= 1


@MANY
def test_two_services_on_one_database_make_one_ticket(mongodb_url: str, many: int) -> None:
    posts = Posts(many)
    with ExitStack() as stack:
        servers = [stack.enter_context(serving_apart(mongodb_url)) for _ in range(2)]

        posts.send(many, *servers).take()

        posts.check(servers[0])
        assert posts.first_answers() == 1


@MANY
def test_when_one_of_two_services_is_killed_the_other_answers_the_same(
    mongodb_url: str, many: int
) -> None:
    posts = Posts(many)
    with ExitStack() as stack:
        stays, goes = (stack.enter_context(serving_apart(mongodb_url)) for _ in range(2))
        sent = posts.send(many, stays, goes)
        sent.take(1)

        goes.kill()
        sent.take()
        posts.send(posts.unanswered, stays).take()

        posts.check(stays)
        assert posts.first_answers() <= 1
