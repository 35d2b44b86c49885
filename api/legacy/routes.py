"""The old backend's HTTP routes: every address below `/api/ticket`."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from email.utils import format_datetime
from typing import Any, Final

from pydantic_core import to_json
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from api.legacy.refusals import NOT_FOUND, LegacyRefusal, explain
from api.legacy.tickets import CREATE_UPDATE, LIST, LegacyCall, LegacyTickets
from infrastructure.configuration.settings import Settings

PREFIX: Final = "/api/ticket"

COOKIE: Final = "auth_token"

_MEDIA_TYPE: Final = "application/json; charset=utf-8"

_DEPRECATED: Final = datetime(2026, 11, 24, tzinfo=UTC)
"""The day from which callers can use `/v1` instead."""


def application(tickets: LegacyTickets, settings: Settings) -> ASGIApp:
    """The routes, for pages of the configured origins too."""
    return _for_pages(_Routes(tickets, _lifetime(settings)), settings)


def mounted(application: ASGIApp) -> Mount:
    """The routes in any case of letters, as in the old backend."""
    mount = Mount(PREFIX, application)
    mount.path_regex = re.compile(mount.path_regex.pattern, re.IGNORECASE)
    return mount


def refusals(settings: Settings) -> Callable[[int, str], ASGIApp]:
    """A function that makes a refusal in the old shape, which pages of the configured origins can
    read."""
    headers = _lifetime(settings)
    return lambda status, error: _for_pages(_response(status, {"error": error}, headers), settings)


def _for_pages(application: ASGIApp, settings: Settings) -> ASGIApp:
    if not settings.legacy_origins:
        return application
    return CORSMiddleware(
        application,
        allow_origins=settings.legacy_origins,
        allow_credentials=True,  # the token may come in a cookie
        allow_methods=("GET", "POST"),
        allow_headers=("Authorization", "Content-Type"),
    )


def _lifetime(settings: Settings) -> dict[str, str]:
    """Headers that say how long the routes remain, and which route replaces them: RFC 9745,
    RFC 8594, and a relation of RFC 5829."""
    sunset = datetime.combine(settings.legacy_sunset, time(), UTC)
    return {
        "Deprecation": f"@{_DEPRECATED.timestamp():.0f}",
        "Sunset": format_datetime(sunset, usegmt=True),
        "Link": '</v1/tickets>; rel="successor-version"',
    }


@dataclass(frozen=True, slots=True)
class _Route:
    """One address below the prefix. `path` names it in the figures of requests; `failed` is the
    answer to a failure that nobody foresaw."""

    path: str
    failed: str
    answer: Callable[[LegacyCall, Request], Awaitable[Any]]


class _Routes:
    """An ASGI application: nothing of the general machinery, whose answers look different."""

    def __init__(self, tickets: LegacyTickets, headers: dict[str, str]) -> None:
        self._tickets = tickets
        self._headers = headers
        self._routes = {
            ("POST", CREATE_UPDATE): _Route(
                f"{PREFIX}/{CREATE_UPDATE}", "Failed to create/update ticket", self._create_update
            ),
            ("GET", LIST): _Route(f"{PREFIX}/{LIST}", "Failed to get tickets", self._list),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
            return
        request = Request(scope, receive)
        # as the old backend: any case of letters, a slash at the end or none, HEAD as GET
        name = request.url.path.lower().removeprefix(f"{PREFIX}/").removesuffix("/")
        method = "GET" if request.method == "HEAD" else request.method
        route = self._routes.get((method, name))
        if route is None:
            status, error = NOT_FOUND
            response = _response(status, {"error": error}, self._headers)
        else:
            scope["route"] = route
            response = await self._answer(route, f"{method} {route.path}", request)
        await response(scope, receive, send)

    async def _answer(self, route: _Route, called: str, request: Request) -> Response:
        correlation_id = request.state.correlation_id
        try:
            call = await self._tickets.call(_token(request), called, correlation_id)
            return _response(200, await route.answer(call, request), self._headers)
        except Exception as error:  # each has its place in the old contract
            status, sentence = explain(error, route.failed, correlation_id)
            return _response(status, {"error": sentence}, self._headers)

    async def _create_update(self, call: LegacyCall, request: Request) -> Any:
        return await self._tickets.create_update_ticket(call, await _json(request))

    async def _list(self, call: LegacyCall, request: Request) -> Any:
        systems = request.query_params.getlist("system")
        # the old backend too takes several for a list, and a list for no name
        return await self._tickets.get_tickets(call, systems if systems[1:] else "".join(systems))


def _response(status: int, body: Any, headers: dict[str, str]) -> Response:
    return Response(to_json(body), status, headers=headers, media_type=_MEDIA_TYPE)


def _token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.cookies.get(COOKIE)


async def _json(request: Request) -> Any:
    """The parsed body, if its media type is JSON: a page elsewhere can send any other type with
    the user's cookie, unasked. Raises `LegacyRefusal`."""
    content = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not content:
        raise LegacyRefusal(400, "There is no body: send a JSON object")
    if kind != "application/json":
        raise LegacyRefusal(400, "Send the body with Content-Type: application/json")
    try:
        return json.loads(content)
    except RecursionError:
        raise LegacyRefusal(400, "The body is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LegacyRefusal(400, f"The body is not JSON: {error}") from None
    except ValueError:  # its message is advice to programmers
        raise LegacyRefusal(400, "The body holds a number with too many digits") from None
