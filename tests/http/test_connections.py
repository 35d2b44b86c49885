"""Connections: a stranger's head, silence and crowds are measured, and end, before anything looks
at them."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from api.http.connections.guard import Guard
from api.http.connections.with_h11 import GuardedH11
from api.http.connections.with_httptools import GuardedHttpTools
from api.http.limits import HEAD_BYTES, HEADERS, PIPELINED, SENT_BYTES, ConnectionLimits
from tests.support.health import metrics
from tests.support.server import Served, serving_within, until

SHORT: Final = ConnectionLimits(
    head_seconds=1.0, body_seconds=1.0, idle_seconds=1.5, answer_seconds=1.0, linger_seconds=0.5
)

REQUEST: Final = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module", params=[GuardedHttpTools, GuardedH11], ids=["httptools", "h11"])
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A service that is quick to lose patience, with each parser of uvicorn."""
    protocol: type[Guard] = request.param
    path: Path = tmp_path_factory.mktemp("guarded") / "ticketbook.db"
    with serving_within(SHORT, f"sqlite:///{path}", protocol) as running:
        yield running


class Stranger:
    """One connection of somebody without a token."""

    def __init__(self, url: str) -> None:
        host, port = urlsplit(url).netloc.split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)

    def send(self, content: bytes) -> int:
        """How many of the bytes could be sent before the other side closed."""
        sent = 0
        try:
            while sent < len(content):
                sent += self._socket.send(content[sent : sent + 65_536])
        except OSError:
            pass
        return sent

    def heard(self) -> bytes:
        """All that comes until the connection is closed."""
        parts = []
        try:
            while part := self._socket.recv(65_536):
                parts.append(part)
        except ConnectionError:
            pass
        self._socket.close()
        return b"".join(parts)

    def leave(self) -> None:
        self._socket.close()


def refusal(answer: bytes) -> dict[str, Any]:
    """The one problem document of an answer that ends its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head.lower()
    assert b"\r\nx-request-id: " in head
    problem: dict[str, Any] = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {problem['status']} ".encode())
    return problem


@pytest.mark.parametrize("line", [b"GET /", b"GET / HTTP/1.1\r\na: "], ids=["path", "header"])
def test_a_head_is_refused_from_64_kib_and_no_more_of_it_is_read(
    guarded: Served, line: bytes
) -> None:
    stranger = Stranger(guarded.url)

    sent = stranger.send(line + b"x" * 64_000_000)

    assert sent < 32_000_000  # what was on its way when the connection was closed
    assert refusal(stranger.heard())["code"] == "head-too-large"


@pytest.mark.parametrize("more", [0, 1], ids=["64 KiB", "a byte more"])
def test_a_head_of_64_kib_is_served_and_a_longer_one_is_not(guarded: Served, more: int) -> None:
    start = REQUEST + b"Connection: close\r\nCookie: "
    stranger = Stranger(guarded.url)

    stranger.send(start + b"x" * (HEAD_BYTES + more - len(start) - 4) + b"\r\n\r\n")

    answer = stranger.heard()
    assert answer.startswith(b"HTTP/1.1 431 " if more else b"HTTP/1.1 200 ")


def test_a_request_with_a_thousand_headers_is_refused(guarded: Served) -> None:
    stranger = Stranger(guarded.url)
    more = b"".join(b"a%d: b\r\n" % number for number in range(HEADERS))

    stranger.send(REQUEST + b"Connection: close\r\n" + more + b"\r\n")

    assert refusal(stranger.heard())["code"] == "head-too-large"


POST: Final = (
    b"POST /v1/tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n"
)


@pytest.fixture(scope="module")
def silent(guarded: Served) -> dict[str, bytes]:
    """The last words to clients that leave something out, by what they sent."""
    known = guarded.client()
    assert known.create().status_code == 201  # its token takes the express lane from now on
    authorization = f"Authorization: {known.headers['Authorization']}\r\n".encode()
    path = b"/v1/tickets/" + b"0" * 24
    sent = {
        "nothing": b"",
        "line ends": b"\r\n\r\n",
        "half a head": REQUEST,
        "half a body": POST + b'\r\n{"na',
        "half a body of a caller": POST + authorization + b'\r\n{"na',
        "half a body of a change": POST.replace(b"POST /v1/tickets", b"PATCH " + path)
        + b'If-Match: *\r\n\r\n{"na',
        "half a body for nobody": POST.replace(b"/v1/tickets", b"/nowhere") + b'\r\n{"na',
        "one request": REQUEST + b"\r\n",
        "one request and half a head": REQUEST + b"\r\n" + REQUEST,
    }
    strangers = {what: Stranger(guarded.url) for what in sent}
    for what, content in sent.items():
        strangers[what].send(content)
    return {what: stranger.heard() for what, stranger in strangers.items()}


@pytest.mark.parametrize("what", ["nothing", "line ends"])
def test_a_connection_without_a_request_is_closed(silent: dict[str, bytes], what: str) -> None:
    assert silent[what] == b"" or silent[what].startswith(b"HTTP/1.1 400 ")


def test_a_head_that_does_not_end_is_408(silent: dict[str, bytes]) -> None:
    assert refusal(silent["half a head"])["code"] == "request-timeout"


@pytest.mark.parametrize("whose", ["", " of a caller", " of a change"])
def test_a_body_that_does_not_come_is_408_of_its_route(
    silent: dict[str, bytes], guarded: Served, whose: str
) -> None:
    assert refusal(silent[f"half a body{whose}"])["code"] == "request-timeout"
    figures = metrics(guarded.client())
    assert figures["ticketbook_http_requests_total", "POST", "/v1/tickets", "408"] == 2
    assert figures["ticketbook_http_requests_total", "PATCH", "/v1/tickets/{ticket_id}", "408"] == 1


def test_a_body_that_nobody_reads_holds_its_connection_no_longer(silent: dict[str, bytes]) -> None:
    assert silent["half a body for nobody"].startswith(b"HTTP/1.1 404 ")


def test_an_answered_connection_is_closed_when_nothing_follows(silent: dict[str, bytes]) -> None:
    assert silent["one request"].startswith(b"HTTP/1.1 200 ")
    assert silent["one request"].count(b"HTTP/1.1") == 1
    assert silent["one request and half a head"].startswith(b"HTTP/1.1 200 ")


def test_a_refused_body_is_thrown_away_but_not_for_ever(guarded: Served) -> None:
    stranger = Stranger(guarded.url)
    stranger.send(POST.replace(b"100", b"999999999") + b"\r\n")

    sent = stranger.send(b"x" * 16 * SENT_BYTES)

    assert sent < 8 * SENT_BYTES
    assert stranger.heard().startswith(b"HTTP/1.1 413 ")


def test_trailers_are_measured_too(guarded: Served) -> None:
    stranger = Stranger(guarded.url)
    stranger.send(POST.replace(b"Content-Length: 100", b"Transfer-Encoding: chunked") + b"\r\n")

    sent = stranger.send(b"0\r\na: " + b"x" * 16 * SENT_BYTES)

    assert sent < 8 * SENT_BYTES
    stranger.heard()


def test_requests_sent_far_ahead_of_their_answers_wait_or_end_the_connection(
    guarded: Served,
) -> None:
    stranger = Stranger(guarded.url)

    stranger.send((REQUEST + b"\r\n") * 2_000)

    answers = stranger.heard().count(b"HTTP/1.1 200")
    assert answers <= PIPELINED or answers == 2_000  # h11 parses one at a time


def test_a_client_that_takes_nothing_of_its_answers_is_cut(guarded: Served) -> None:
    stranger = Stranger(guarded.url)
    script = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"

    stranger.send(script * 12)  # more than the buffers between us hold
    until(lambda: stranger.send(b"\r\n") == 0)

    assert metrics(guarded.client())["ticketbook_http_connections_ended_total", "answer-not-taken"]
    stranger.heard()


def test_one_connection_too_many_is_503_and_the_log_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ConnectionLimits(connections=8)
    with serving_within(limits, f"sqlite:///{tmp_path / 'ticketbook.db'}") as served:
        kept = [Stranger(served.url) for _ in range(8)]
        until(lambda: served.connections.problem is not None)
        answers = [refusal(Stranger(served.url).heard()) for _ in range(8)]
        assert {answer["code"] for answer in answers} == {"overloaded"}
        assert capsys.readouterr().out.count("connections.full") == 1
        assert served.connections.problem and "8 connections are open" in served.connections.problem
        for stranger in kept:
            stranger.send(REQUEST + b"Connection: close\r\n\r\n")
            assert stranger.heard().startswith(b"HTTP/1.1 200 ")
        until(lambda: served.connections.problem is None)
        assert served.client().get("/healthz").status_code == 200


@pytest.mark.parametrize("lane", ["express", "general"])
def test_a_client_that_leaves_is_no_failure_of_the_service(
    guarded: Served, capsys: pytest.CaptureFixture[str], lane: str
) -> None:
    client = guarded.client()
    if lane == "express":
        client.create()  # from now on its token is known
    authorization = f"Authorization: {client.headers['Authorization']}\r\n\r\n"
    counted = ("ticketbook_http_requests_total", "POST", "/v1/tickets", "400")
    before = metrics(client).get(counted, 0)

    stranger = Stranger(guarded.url)
    stranger.send(POST + authorization.encode() + b'{"na')
    stranger.leave()

    until(lambda: metrics(client).get(counted, 0) == before + 1)
    assert not [name for name in metrics(client) if name[-1] == "500"]
    assert "Traceback" not in capsys.readouterr().out
