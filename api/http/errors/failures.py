"""Every error of the application, answered with a problem document."""

from collections.abc import Sequence
from http import HTTPMethod
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from api.http.errors.problems import MOST_FAULTS, Problem, response
from domain.errors import (
    CommandInProgress,
    EventUnreadable,
    Fault,
    Fenced,
    JobRunning,
    KeyReused,
    LogAhead,
    Overloaded,
    ProjectionBehind,
    Refusal,
    RowUnreadable,
    StoreCorrupt,
    StoreUnavailable,
    TicketbookError,
    TicketNotParked,
    VersionUnknown,
)
from infrastructure.json_text import escaped

_STATUS_CODES: Final = {
    404: "not-found",
    405: "method-not-allowed",
    408: "request-timeout",
    413: "body-too-large",
    415: "unsupported-media-type",
}

_ERROR_CODES: Final[dict[type[TicketbookError], str]] = {
    CommandInProgress: "command-in-progress",
    KeyReused: "key-reused",
    Overloaded: "overloaded",
    ProjectionBehind: "projection-behind",
    TicketNotParked: "ticket-not-parked",
    Fenced: "projection-taken-over",
    JobRunning: "operation-running",
    VersionUnknown: "version-unknown",
    LogAhead: "log-ahead-of-clock",
}


_FEATURE_LISTS: Final = (("features",), ("grant",), ("revoke",))
"""The fields of a body that list features."""

_SILENT: Final = "store-unavailable"
"""The code for a store that does not answer."""

_NO_ANSWER: Final = (
    "The store does not answer. Try again; a command may or may not have been stored: "
    "repeat it with the same Idempotency-Key."
)

_SHOWN: Final = 200
"""Most characters of a path in an answer."""

_DAMAGED: Final = (
    "Something that is stored cannot be read, and nothing was changed. What it is stands in the "
    "service's log under"
)

_log = structlog.get_logger(__name__)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(TicketbookError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return response(error.kind.code, error.detail, error.faults, headers=error.headers)


async def _ours(request: Request, error: Exception) -> Response:
    if isinstance(error, Refusal):
        headers = {"Idempotent-Replayed": "true"} if error.replayed else {}
        return response(
            error.code, error.detail, error.faults, version=error.version, headers=headers
        )
    if isinstance(error, StoreUnavailable | StoreCorrupt):  # its words may tell where the store is
        request_id = request.state.correlation_id
        event = "store.damaged" if isinstance(error, StoreCorrupt) else "store.unavailable"
        _log.error(event, problem=str(error), request_id=request_id)
        code, detail = _of_store(error, request_id)
        return response(code, detail, headers={"Retry-After": "1" if code == _SILENT else "60"})
    for kind in type(error).__mro__:
        if kind in _ERROR_CODES:
            headers = {"Retry-After": "1"} if kind is CommandInProgress else {}
            return response(_ERROR_CODES[kind], str(error), headers=headers)
    raise error  # `Envelope` logs it: its words may hold another organisation's data


def _of_store(error: StoreUnavailable | StoreCorrupt, request_id: str) -> tuple[str, str]:
    """The code and the sentence for a store that does not answer, or not in full."""
    match error:
        case EventUnreadable():
            return "ticket-unreadable", (
                f"The event at position {error.position}, of ticket {error.ticket_id}, cannot be "
                "read: a newer version of the service wrote it, or it is damaged. "
                "Nothing was stored."
            )
        case RowUnreadable():
            return "row-unreadable", (
                f"The row {error.key} of {error.projection} is damaged, and with it this answer "
                "would not be complete. What the log holds is not touched."
            )
        case StoreCorrupt():
            return "store-damaged", f"{_DAMAGED} {request_id}."
        case _:
            return _SILENT, _NO_ANSWER


async def _validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors: Sequence[ErrorDetails] = error.errors()
    first, more = errors[0], max(len(errors) - MOST_FAULTS, 0)
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", first["msg"])
        return response("malformed-json", f"The body is not JSON: {reason}.")
    if isinstance(error.body, bytes):  # FastAPI hands over what is not called JSON as it came
        return response(
            "unsupported-media-type", "Send the body as JSON, with Content-Type: application/json."
        )
    faults = [
        Fault(_pointer(e["loc"]), e["type"].replace("_", "-"), e["msg"])
        for e in errors[:MOST_FAULTS]
    ]
    if more:
        faults.append(Fault("", "more", f"and {more} more like these"))
    code = "invalid-body" if first["loc"][0] == "body" else "invalid-parameter"
    if all(e["type"] == "too_long" and e["loc"][1:] in _FEATURE_LISTS for e in errors):
        code = "invalid-features"
    detail = "; ".join(f"{fault.pointer or 'body'}: {fault.detail}" for fault in faults[:3])
    return response(code, detail, faults)


def _pointer(location: Sequence[int | str]) -> str:
    parts = list(location)
    if parts and parts[0] == "body":
        parts = parts[1:]
    if parts[:1] == ["items"] and len(parts) > 2:
        del parts[2]  # the kind of the item, which is no part of the body
    return "".join(f"/{escaped(str(part))}" for part in parts)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, Problem):  # FastAPI wraps what the reader of bodies says
        return await _problem(request, error.__cause__)
    code = _STATUS_CODES.get(error.status_code)
    if code is None:
        code = "malformed-json" if error.status_code < 500 else "internal-error"
    headers = dict(error.headers or {})
    detail = str(error.detail)
    match code:
        case "not-found":
            detail = f"There is nothing at {_path(request)}. The routes are listed at /docs."
        case "method-not-allowed":
            headers["Allow"] = ", ".join(_methods(request))
            detail = f"{request.method[:20]} is not possible at {_path(request)}."
        case "malformed-json":
            detail = f"The body is not JSON: {_unreadable(error.__cause__)}."
    return response(code, detail, headers=headers)


def _path(request: Request) -> str:
    path = request.url.path
    return path if len(path) <= _SHOWN else f"{path[:_SHOWN]}…"


def _methods(request: Request) -> Sequence[str]:
    """Every method that some route has at this address; HEAD wherever GET is."""
    scope, routes = request.scope, request.app.router.routes
    methods = {
        method
        for method in HTTPMethod
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    }
    return sorted(methods | {HTTPMethod.HEAD} if HTTPMethod.GET in methods else methods)


def _unreadable(cause: BaseException | None) -> str:
    """Why a body could not be parsed, where it is not its syntax."""
    match cause:
        case UnicodeDecodeError():
            return "it is not UTF-8"
        case RecursionError():
            return "it is nested too deeply"
        case _:
            return "a value in it cannot be read"
