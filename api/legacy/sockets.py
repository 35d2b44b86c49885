"""The old backend's events over Socket.IO (Engine.IO protocol 4).

An event is `<system>/create_update_ticket` or `<system>/get_tickets`; whatever system it names,
the catalogue and the caller's own access decide. Its acknowledgement gets what HTTP answers.
"""

import logging
from collections.abc import Callable, Mapping
from random import getrandbits
from types import SimpleNamespace
from typing import Any, Final

from starlette.requests import cookie_parser
from starlette.types import Receive, Scope, Send

from api.legacy.door import CREATE_UPDATE, LIST, LegacyCall, LegacyTickets
from api.legacy.polls import Polls
from api.legacy.refusals import NOT_FOUND, LegacyRefusal, explain
from api.legacy.routes import COOKIE
from infrastructure.configuration.settings import Settings

PATH: Final = "/socket.io"

JOINED: Final = "confirm-room-join"

JOIN_SECONDS: Final = 45.0
"""How long a connection may stay without anybody recognised on it: what the server
of socket.io allows. Whoever sends no token at all would hold it for ever."""

_ROUTE: Final = SimpleNamespace(path=PATH)
"""What the figures of requests call every address of Engine.IO."""


def application(door: LegacyTickets, settings: Settings) -> Polls:
    """The Socket.IO server, for pages of its own host and of the configured origins."""
    import socketio  # not before: clients that it brings along try a socket when imported

    engineio = logging.getLogger("engineio")
    engineio.addFilter(_worth_telling)
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
    conversations = _Conversations(server, door, polls, socketio.exceptions.ConnectionRefusedError)
    _greet(server)
    _end_what_nobody_joins(server, polls)
    server.on("connect", conversations.connect)
    server.on("disconnect", conversations.disconnect)
    server.on("*", conversations.event)
    return polls


def _worth_telling(record: logging.LogRecord) -> bool:
    """Exceptions there are about packets that make no sense: anybody can send those, and fill the
    log. Ours are told elsewhere."""
    return record.exc_info is None


def _greet(server: Any) -> None:
    """Tell each client that it is in. The manager hears of it once the client was told that it is
    connected: whatever reached it before would find nobody listening."""
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
    """What clients say, each recognised when it connects and looked up again at each event."""

    def __init__(
        self, server: Any, door: LegacyTickets, polls: Polls, refused: Callable[[str], Exception]
    ) -> None:
        self._server = server
        self._door = door
        self._polls = polls
        self._refused = refused

    async def connect(self, sid: str, environ: Any, auth: Any = None, *_more: Any) -> Any:
        """Refuses who is not recognised. An event may be called `connect` too: that is none."""
        if environ is not self._server.get_environ(sid):
            return {"error": NOT_FOUND[1]}
        correlation_id = _correlation_id()
        try:
            call = await self._door.call(_token(environ, auth), "socket.io connect", correlation_id)
        except Exception as error:
            _, said = explain(error, "Failed to connect", correlation_id)
            raise self._refused(said) from error
        await self._server.save_session(sid, call.user.id)
        return None

    async def disconnect(self, sid: str, *_why: Any) -> None:
        self._polls.end(self._server.manager.eio_sid_from_sid(sid, "/"))

    async def event(self, name: Any, sid: str, *sent: Any) -> Any:
        """The ticket, the tickets, or `{"error": …}`: python-socketio acknowledges with it."""
        system, _, operation = str(name).rpartition("/")
        correlation_id = _correlation_id()
        try:
            if operation not in (CREATE_UPDATE, LIST):
                raise LegacyRefusal(*NOT_FOUND)
            user_id: str = await self._server.get_session(sid)
            call = await self._door.next_call(user_id, f"socket.io {operation}", correlation_id)
            return await self._answer(call, system, operation, sent[0] if sent else None)
        except Exception as error:
            _, said = explain(error, f"Failed: {operation}", correlation_id)
            return {"error": said}

    async def _answer(self, call: LegacyCall, system: str, operation: str, data: Any) -> Any:
        if operation == LIST:
            return await self._door.get_tickets(call, system)
        if isinstance(data, dict):  # the event names the system, whatever the data say
            data = data | {"system": system}
        return await self._door.create_update_ticket(call, data)


def _token(environ: Mapping[str, Any], auth: Any) -> str | None:
    given = auth.get("token") if isinstance(auth, dict) else None
    if isinstance(given, str) and given:
        return given
    return cookie_parser(environ.get("HTTP_COOKIE", "")).get(COOKIE)


def _allowed(origins: tuple[str, ...]) -> Callable[[str, Mapping[str, Any]], bool]:
    def allowed(origin: str, environ: Mapping[str, Any]) -> bool:
        host = environ.get("HTTP_HOST", "")
        return origin in origins or origin in (f"https://{host}", f"http://{host}")

    return allowed


def _correlation_id() -> str:
    return f"{getrandbits(128):032x}"
