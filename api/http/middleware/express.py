"""The express lane: plain creations of tickets, without the general machinery of routes.

Finding a route and working out what its parameters are costs a request more than everything that
makes a ticket of it. Here a request that is plainly good goes straight to its endpoint; whatever
is unusual in any way takes the general way, which alone refuses.
"""

import re
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors.problems import Problem
from api.http.request.callers import Call, service_of
from api.http.routes.tickets import create_ticket, router
from api.wire.fields import KEY_PATTERN
from api.wire.tickets import CreateTicketBody
from domain.errors import TicketbookError
from infrastructure.json_text import read_json

_SCOPE: Final = "tickets:write"
_KEY: Final = re.compile(KEY_PATTERN)
_ROUTE: Final = next(r for r in router.routes if getattr(r, "endpoint", None) is create_ticket)


class Express:
    """ASGI middleware. `POST /v1/tickets` with JSON and a known token is answered here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/v1/tickets" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        call = _call(request)
        if call is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = _ROUTE  # for the figures
        try:
            content = await request.body()
            body = _body(content)
            if body is None:
                await self._app(scope, _again(content, receive), send)
                return
            response = await create_ticket(call, body, request.headers.get("idempotency-key"))
        except (Problem, TicketbookError, HTTPException) as error:
            handlers = request.app.exception_handlers
            handler = next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)
            response = await handler(request, error)
        await response(scope, receive, send)


def _call(request: Request) -> Call | None:
    """The call, if nothing about its head needs a second look."""
    headers, query = request.headers, request.scope["query_string"]
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if headers.get("content-type") != "application/json" or query or scheme != "Bearer":
        return None
    service = service_of(request)
    caller = service.tokens.known(token)
    if caller is None or _SCOPE not in caller.scopes:
        return None
    if not _KEY.match(headers.get("idempotency-key", "none")):
        return None
    return Call(request, service, request.app.state.submitter, caller)


def _body(content: bytes) -> CreateTicketBody | None:
    try:
        return CreateTicketBody.model_validate(read_json(content))
    except ValueError:  # pydantic's too: the general lane says what is wrong
        return None


def _again(content: bytes, receive: Receive) -> Receive:
    """Receives again the content that was received already."""
    pending: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
