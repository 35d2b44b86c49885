"""Requests of web pages from other origins (CORS)."""

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_BELOW: Final = "/v1/"

METHODS: Final = ("GET", "POST", "PATCH", "DELETE")
"""Methods that a page may use."""

SENT: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Min-Event-Position",
    "X-Request-ID",
    "traceparent",
)
"""Request headers that a page may send."""

EXPOSED: Final = (
    "Content-Disposition",
    "ETag",
    "Event-Position",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "Parked-At",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
    "traceparent",
)
"""Headers of an answer that a page may read."""


class CrossOrigin:
    """ASGI middleware. Lets pages of these origins call `/v1`, with a token and never with a
    cookie. A page of any other origin gets answers that its browser does not show it."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._sharing = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=SENT,
            expose_headers=EXPOSED,
            allow_credentials=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shared = (
            scope["type"] == "http"
            and scope["path"].startswith(_BELOW)
            and Headers(scope=scope).get("origin") in self._origins
        )
        await (self._sharing if shared else self._app)(scope, receive, send)
