"""The envelope of every request: its correlation, its limits, its measurement, and the last resort
when something fails that nobody foresaw."""

import re
from collections.abc import Callable, Mapping
from http import HTTPMethod
from random import getrandbits
from time import perf_counter
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import problems
from api.http.middleware.body import BodyReader
from api.http.middleware.excess import excess_of

_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_METHODS: Final = frozenset(HTTPMethod)
_log = structlog.get_logger()

Shape = Callable[[int, str], ASGIApp]
"""Makes an answer of a status and a sentence."""


class Envelope:
    """ASGI middleware. Puts `correlation_id` into the request's state and echoes it.

    Below a path in `shapes`, in any case of letters, its own refusals have that shape instead of a
    problem's.
    """

    def __init__(
        self,
        app: ASGIApp,
        registry: CollectorRegistry,
        shapes: Mapping[str, Shape],
        *,
        access_log: bool = False,
    ) -> None:
        self._access_log = access_log
        self._app = app
        self._shapes = tuple(shapes.items())
        self._requests = Counter(
            "ticketbook_http_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "ticketbook_http_request_seconds",
            "Time from a request's head to its answer's.",
            ["method", "route"],
            registry=registry,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        headers = Headers(scope=scope)
        request_id, echoed = _correlation(headers)
        scope.setdefault("state", {})["correlation_id"] = request_id
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].extend(echoed)
                route = getattr(scope.get("route"), "path", None)
                seconds = perf_counter() - started
                self._measure(scope["method"], route, status, seconds)
                if self._access_log:  # without the query: it may hold names
                    _log.info(
                        "request",
                        method=scope["method"],
                        path=scope["path"],
                        status=status,
                        seconds=round(seconds, 4),
                        request_id=request_id,
                    )
            await send(message)

        excess = excess_of(scope)
        if excess is not None:
            await self._refusal(scope, excess.code, excess.detail)(scope, receive, answer)
            return
        body = BodyReader(scope, receive, lambda: status != 0)
        try:
            await self._app(scope, body, answer)
        except Exception:
            _log.exception("request failed", path=scope["path"], request_id=request_id)
            if status:
                raise
            detail = f"The failure is in the service's log under {request_id}."
            await self._refusal(scope, "internal-error", detail)(scope, receive, answer)

    def _refusal(self, scope: Scope, code: str, detail: str) -> ASGIApp:
        for path, shape in self._shapes:
            if scope["path"].lower().startswith(path):
                return shape(problems.KINDS[code].status, detail)
        return problems.response(code, detail)

    def _measure(self, method: str, route: str | None, status: int, seconds: float) -> None:
        # made-up methods and paths must not make a time series each
        if route is None:
            method, route = "ANY", "unmatched"
        elif method not in _METHODS:
            method = "ANY"
        key = (method, route, status)
        if key not in self._known:
            counter = self._requests.labels(method, route, str(status))
            self._known[key] = counter, self._seconds.labels(method, route)
        counter, histogram = self._known[key]
        counter.inc()
        histogram.observe(seconds)


def _correlation(headers: Headers) -> tuple[str, list[tuple[bytes, bytes]]]:
    """The request's id (the caller's own, else its trace's, else a new one), and what to echo."""
    callers_id = headers.get("x-request-id", "")
    parent = headers.get("traceparent", "")
    traced = _TRACEPARENT.fullmatch(parent)
    if _REQUEST_ID.fullmatch(callers_id):
        request_id = callers_id
    else:
        request_id = traced.group(1) if traced else f"{getrandbits(128):032x}"
    echoed = [(b"x-request-id", request_id.encode())]
    if traced:
        echoed.append((b"traceparent", parent.encode()))
    return request_id, echoed
