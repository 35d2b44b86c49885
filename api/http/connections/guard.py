"""One connection, watched: the size of its head, and the time that its client takes."""

import asyncio
from enum import Enum, auto
from random import getrandbits
from typing import TYPE_CHECKING, Any

from api.http.connections.pool import Connections
from api.http.errors import problems
from api.http.limits import HEAD_BYTES, LINGER_BYTES, SENT_BYTES

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.protocols.http.flow_control import FlowControl

_TOO_LARGE = (
    f"The first line and the headers of a request are limited to {HEAD_BYTES} bytes together. "
    "Send less."
)
_HEAD_LATE = "The head of the request did not arrive in time. Send the request again, faster."
_FULL = "Too many connections are open. Try again in a moment, on fewer connections."


class Phase(Enum):
    """The part of a request that is awaited from the client."""

    IDLE = auto()  # nothing of a request has arrived
    HEAD = auto()
    BODY = auto()
    ANSWER = auto()  # nothing: the request is complete
    LATE = auto()  # the body, in vain: the application is to answer with 408
    ENDING = auto()  # the connection is refused, and its client has not left yet
    GONE = auto()  # something else has the connection


class Guard(asyncio.Protocol):
    """What both protocols of uvicorn get beside their own: a class of each names this one first.

    They say by `phase` and `head_bytes` how far a request has come;
    `tests/http/test_uvicorn_internals.py` names the attributes that are used here.
    """

    # uvicorn's
    config: "Config"
    transport: asyncio.Transport
    flow: "FlowControl"
    loop: asyncio.AbstractEventLoop
    cycle: Any

    pool: Connections
    phase = Phase.IDLE
    since = 0.0
    head_bytes = 0
    sent_bytes = 0
    stuck_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.pool = self.config.app.state.connections  # type: ignore[union-attr]
        self.since = self.loop.time()
        sockets = len(self.server_connections)
        if not self.pool.add(self, sockets):
            stays = self.pool.refuse(sockets)
            self.refuse("overloaded", _FULL)
            if not stays:
                self.transport.close()

    @property
    def server_connections(self) -> set[Any]:
        """All connections of the process, those of WebSockets too."""
        connections: set[Any] = self.connections  # type: ignore[attr-defined]
        return connections

    def connection_lost(self, exc: Exception | None) -> None:
        self.leave()
        super().connection_lost(exc)

    def leave(self) -> None:
        """The connection is no longer ours."""
        self.phase = Phase.GONE
        self.pool.remove(self)

    def enter(self, phase: Phase) -> None:
        """The request has come that far."""
        self.phase = phase
        self.since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        match self.phase:
            case Phase.IDLE | Phase.HEAD:
                self._head(data)
            case Phase.BODY | Phase.LATE:
                self.sent_bytes += len(data)
                if self.sent_bytes > SENT_BYTES:
                    self.abort("body-too-large")
                else:
                    super().data_received(data)
            case Phase.ANSWER:
                super().data_received(data)
            case Phase.ENDING:
                self.sent_bytes += len(data)
                if self.sent_bytes > LINGER_BYTES:
                    self.transport.abort()
            case Phase.GONE:
                pass

    def _head(self, data: bytes) -> None:
        """Hand a head on, but nothing beyond its limit."""
        part = data[: HEAD_BYTES - self.head_bytes]
        self.head_bytes += len(part)
        super().data_received(part)
        if self.phase in (Phase.IDLE, Phase.HEAD):
            if self.head_bytes >= HEAD_BYTES:
                self.end("head-too-large", _TOO_LARGE)
        elif rest := data[len(part) :]:
            self.data_received(rest)

    def pause_writing(self) -> None:
        self.stuck_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.stuck_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP: uvicorn calls this."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # its answer has its place before this one
        elif not self.transport.is_closing():
            super().send_400_response(msg)  # type: ignore[misc]

    def shutdown(self) -> None:
        """The service ends: uvicorn calls this."""
        if self.phase is Phase.ENDING:
            self.transport.abort()
        else:
            super().shutdown()  # type: ignore[misc]

    def look(self, now: float) -> None:
        limits, waited = self.pool.limits, now - self.since
        if self.stuck_since is not None and now - self.stuck_since > limits.answer_seconds:
            self.abort("answer-not-taken")
            return
        answered = self.cycle is None or self.cycle.response_complete
        match self.phase:
            case Phase.IDLE if answered and waited > limits.idle_seconds:
                self.pool.ended("idle")
                self.transport.close()
                self.enter(Phase.ENDING)
            case Phase.HEAD if answered and waited > limits.head_seconds:
                self.end("request-timeout", _HEAD_LATE)
            case Phase.BODY if waited > limits.body_seconds:
                self._late(answered)
            case Phase.LATE | Phase.ENDING if waited > limits.linger_seconds:
                self.transport.abort()

    def _late(self, answered: bool) -> None:
        """Let the application answer with 408, in the words of the route. See `BodyReader`."""
        if answered or self.cycle.response_started:
            self.abort("request-timeout")
            return
        self.pool.ended("request-timeout")
        self.enter(Phase.LATE)
        self.cycle.scope["state"]["late"] = True
        self.cycle.keep_alive = False
        self.cycle.message_event.set()

    def abort(self, reason: str) -> None:
        """End the connection at once: an answer has begun, or nobody takes it."""
        self.pool.ended(reason)
        self.transport.abort()

    def end(self, code: str, detail: str) -> None:
        """Refuse the request and end the connection."""
        self.pool.ended(code)
        self.refuse(code, detail)

    def refuse(self, code: str, detail: str) -> None:
        """Answer with the problem, and throw away what still comes until the client leaves."""
        self.enter(Phase.ENDING)
        self.sent_bytes = 0
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # its answer has its place before this one
            return
        self.flow.resume_reading()
        self.transport.write(_message(code, detail))
        if self.transport.can_write_eof():
            self.transport.write_eof()


def _message(code: str, detail: str) -> bytes:
    response = problems.response(code, detail)
    head = [
        f"HTTP/1.1 {response.status_code} {problems.KINDS[code].status.phrase}".encode(),
        *(name + b": " + value for name, value in response.raw_headers),
        f"x-request-id: {getrandbits(128):032x}".encode(),
        b"connection: close",
    ]
    return b"\r\n".join((*head, b"", bytes(response.body)))
