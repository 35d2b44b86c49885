"""The old backend's HTTP routes: all that there is below `/api/ticket`."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from email.utils import format_datetime
from typing import Any, Final

from pydantic_core import to_json
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from api.legacy.door import CREATE_UPDATE, LIST, Door, LegacyCall
from api.legacy.refusals import NOT_FOUND, LegacyRefusal, told
from infrastructure.settings import Settings

PREFIX: Final = "/api/ticket"

COOKIE: Final = "auth_token"

_MEDIA_TYPE: Final = "application/json; charset=utf-8"

_DEPRECATED: Final = datetime(2026, 11, 24, tzinfo=UTC)
"""Since when there is `/v1` for whoever calls here."""


def application(door: Door, settings: Settings) -> ASGIApp:
    """The routes, for pages of the configured origins too."""
    routes = _Routes(door, _lifetime(settings))
    if not settings.legacy_origins:
        return routes
    return CORSMiddleware(
        routes,
        allow_origins=settings.legacy_origins,
        allow_credentials=True,  # the token may come in a cookie
        allow_methods=("GET", "POST"),
        allow_headers=("Authorization", "Content-Type"),
    )


def refusals(settings: Settings) -> Callable[[int, str], Response]:
    """Makes a refusal in the old shape."""
    headers = _lifetime(settings)
    return lambda status, error: _response(status, {"error": error}, headers)


def _lifetime(settings: Settings) -> dict[str, str]:
    """Headers that say how long the routes will be there, and what comes after them: RFC 9745,
    RFC 8594, and a relation of RFC 5829."""
    sunset = datetime.combine(settings.legacy_sunset, time(), UTC)
    return {
        "Deprecation": f"@{_DEPRECATED.timestamp():.0f}",
        "Sunset": format_datetime(sunset, usegmt=True),
        "Link": '</v1/tickets>; rel="successor-version"',
    }


@dataclass(frozen=True, slots=True)
class _Route:
    """One address below the prefix. `path` is what the figures of requests call it, `failed` what
    a caller is told when nobody foresaw what happened."""

    path: str
    failed: str
    answer: Callable[[LegacyCall, Request], Awaitable[Any]]


class _Routes:
    """An ASGI application: nothing of the general machinery, whose answers look different."""

    def __init__(self, door: Door, headers: dict[str, str]) -> None:
        self._door = door
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
        # as the old backend: in any case of letters, with or without a slash at the end
        name = request.url.path.removeprefix(f"{PREFIX}/").removesuffix("/").lower()
        route = self._routes.get((request.method, name))
        if route is None:
            status, error = NOT_FOUND
            response = _response(status, {"error": error}, self._headers)
        else:
            scope["route"] = route
            response = await self._answer(route, request)
        await response(scope, receive, send)

    async def _answer(self, route: _Route, request: Request) -> Response:
        correlation_id = request.state.correlation_id
        try:
            called = f"{request.method} {route.path}"
            call = await self._door.call(_token(request), called, correlation_id)
            return _response(200, await route.answer(call, request), self._headers)
        except Exception as error:  # each has its place in the old contract
            status, said = told(error, route.failed, correlation_id)
            return _response(status, {"error": said}, self._headers)

    async def _create_update(self, call: LegacyCall, request: Request) -> Any:
        return await self._door.create_update_ticket(call, await _json(request))

    async def _list(self, call: LegacyCall, request: Request) -> Any:
        return await self._door.get_tickets(call, request.query_params.get("system"))


def _response(status: int, body: Any, headers: dict[str, str]) -> Response:
    return Response(to_json(body), status, headers=headers, media_type=_MEDIA_TYPE)


def _token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.cookies.get(COOKIE)


async def _json(request: Request) -> Any:
    """The body. Only what is called JSON is read: a page elsewhere can send anything else with
    the user's cookie, unasked."""
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
    except ValueError as error:
        raise LegacyRefusal(400, f"The body is not JSON: {error}") from None
