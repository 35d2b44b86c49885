"""The old backend's events over Socket.IO (Engine.IO protocol 4).

An event is `<system>/create_update_ticket` or `<system>/get_tickets`; the catalogue and the
caller's access decide on every system. The acknowledgement gets the body that HTTP answers.
python-socketio offers no hooks for some of this: `tests/http/test_socketio_internals.py` names the
attributes that are used instead.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from random import getrandbits
from types import SimpleNamespace
from typing import Any, Final

from starlette.requests import cookie_parser
from starlette.types import Receive, Scope, Send

from api.legacy.bounds import EVENTS_AT_ONCE, bound_clients
from api.legacy.polls import Polls
from api.legacy.refusals import NOT_FOUND, LegacyRefusal, explain
from api.legacy.routes import COOKIE
from api.legacy.tickets import CREATE_UPDATE, LIST, LegacyCall, LegacyTickets
from infrastructure.configuration.settings import Settings

PATH: Final = "/socket.io"

JOINED: Final = "confirm-room-join"

JOIN_SECONDS: Final = 45.0
"""How long a connection may stay without a recognised user, as in socket.io's own server: a
client that sends no token would hold it for ever."""

_ROUTE: Final = SimpleNamespace(path=PATH)
"""The name of every address of Engine.IO in the figures of requests."""


def application(tickets: LegacyTickets, settings: Settings) -> Polls:
    """The Socket.IO server, for pages of its own host and of the configured origins."""
    import socketio  # not before: clients that it brings along try a socket when imported

    engineio = logging.getLogger("engineio")
    engineio.addFilter(_is_ours)
    server = socketio.AsyncServer(
        async_mode="asgi",
        cors_allowed_origins=_allowed(settings.legacy_origins),
        logger=logging.getLogger("socketio"),
        engineio_logger=engineio,
    )
    engine = socketio.ASGIApp(server)

    async def measured(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = _ROUTE
        await engine(scope, receive, send)

    polls = Polls(measured)
    conversations = _Conversations(
        server, tickets, polls, socketio.exceptions.ConnectionRefusedError
    )
    _greet(server)
    _end_what_nobody_joins(server, polls)
    bound_clients(server, polls)
    server.on("connect", conversations.connect)
    server.on("disconnect", conversations.disconnect)
    server.on("*", conversations.event)
    return polls


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a record is worth a line. Its exceptions are about senseless packets, with which
    anybody could fill the log; our own are logged elsewhere."""
    return record.exc_info is None


def _greet(server: Any) -> None:
    """Emit `JOINED` to each client right after the packet that acknowledges its connection: before
    that packet no client listens. The server tells its manager just then."""
    connected = server.manager.connect

    async def connect(sid: str, namespace: str) -> Any:
        result = await connected(sid, namespace)
        await server.emit(JOINED, to=sid, namespace=namespace)
        return result

    server.manager.connect = connect


def _end_what_nobody_joins(server: Any, polls: Polls) -> None:
    begun = server.eio.handlers["connect"]

    async def connect(session: str, environ: Any) -> None:
        async def end() -> None:
            await server.sleep(JOIN_SECONDS)
            if server.manager.sid_from_eio_sid(session, "/") is None:
                await server.eio.disconnect(session)
                polls.end(session)

        await begun(session, environ)
        server.start_background_task(end)

    server.eio.on("connect", connect)


class _Conversations:
    """Clients, each recognised when it connects and looked up again at each event."""

    def __init__(
        self, server: Any, tickets: LegacyTickets, polls: Polls, refused: Callable[[str], Exception]
    ) -> None:
        self._server = server
        self._tickets = tickets
        self._polls = polls
        self._refused = refused
        self._running = Counter[str]()

    async def connect(self, sid: str, environ: Any, auth: Any = None, *_more: Any) -> Any:
        """Refuse a client without a known user. An event called `connect` is no connection."""
        if environ is not self._server.get_environ(sid):
            return {"error": NOT_FOUND[1]}
        correlation_id = _correlation_id()
        try:
            call = await self._tickets.call(
                _token(environ, auth), "socket.io connect", correlation_id
            )
        except Exception as error:
            _, sentence = explain(error, "Failed to connect", correlation_id)
            raise self._refused(sentence) from error
        await self._server.save_session(sid, call.user.id)
        return None

    async def disconnect(self, sid: str, *_why: Any) -> None:
        self._polls.end(self._server.manager.eio_sid_from_sid(sid, "/"))

    async def event(self, name: Any, sid: str, *sent: Any) -> Any:
        """The ticket, the tickets, or `{"error": …}`: python-socketio acknowledges with it."""
        if self._running[sid] >= EVENTS_AT_ONCE:
            return {"error": f"Wait for answers: {EVENTS_AT_ONCE} events run already"}
        self._running[sid] += 1
        try:
            return await self._answered(name, sid, sent)
        finally:
            self._running[sid] -= 1
            if not self._running[sid]:
                del self._running[sid]

    async def _answered(self, name: Any, sid: str, sent: tuple[Any, ...]) -> Any:
        system, _, operation = str(name).rpartition("/")
        correlation_id = _correlation_id()
        try:
            if operation not in (CREATE_UPDATE, LIST):
                raise LegacyRefusal(*NOT_FOUND)
            user_id: str = await self._server.get_session(sid)
            call = await self._tickets.next_call(user_id, f"socket.io {operation}", correlation_id)
            return await self._answer(call, system, operation, sent[0] if sent else None)
        except Exception as error:
            _, sentence = explain(error, f"Failed: {operation}", correlation_id)
            return {"error": sentence}

    async def _answer(self, call: LegacyCall, system: str, operation: str, data: Any) -> Any:
        if operation == LIST:
            return await self._tickets.get_tickets(call, system)
        if isinstance(data, dict):  # the name of the event decides on the system
            data = data | {"system": system}
        return await self._tickets.create_update_ticket(call, data)


def _token(environ: Mapping[str, Any], auth: Any) -> str | None:
    token = auth.get("token") if isinstance(auth, dict) else None
    if isinstance(token, str) and token:
        return token
    return cookie_parser(environ.get("HTTP_COOKIE", "")).get(COOKIE)


def _allowed(origins: tuple[str, ...]) -> Callable[[str, Mapping[str, Any]], bool]:
    def allowed(origin: str, environ: Mapping[str, Any]) -> bool:
        host = environ.get("HTTP_HOST", "")
        return origin in origins or origin in (f"https://{host}", f"http://{host}")

    return allowed


def _correlation_id() -> str:
    return f"{getrandbits(128):032x}"
