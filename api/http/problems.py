"""Errors as RFC 9457 problem documents: one closed list, one table, one shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema
from pydantic_core import ErrorDetails, to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from domain.errors import (
    Fault,
    Fenced,
    KeyReused,
    OperationRunning,
    Overloaded,
    ProjectionBehind,
    Refusal,
    StoreUnavailable,
    TicketbookError,
    TicketNotParked,
    VersionUnknown,
)

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry of the closed list."""

    code: str
    status: HTTPStatus
    title: str


KINDS: Final = {
    kind.code: kind
    for kind in (
        Kind("malformed-json", HTTPStatus.BAD_REQUEST, "The body is not JSON"),
        Kind("invalid-parameter", HTTPStatus.BAD_REQUEST, "A parameter or header is wrong"),
        Kind("token-missing", HTTPStatus.UNAUTHORIZED, "A bearer token is required"),
        Kind("token-invalid", HTTPStatus.UNAUTHORIZED, "The token is not accepted"),
        Kind("token-expired", HTTPStatus.UNAUTHORIZED, "The token has expired"),
        Kind("token-not-yet-valid", HTTPStatus.UNAUTHORIZED, "The token is not valid yet"),
        Kind("scope-missing", HTTPStatus.FORBIDDEN, "The token lacks a scope"),
        Kind("organisation-required", HTTPStatus.FORBIDDEN, "The token names no organisation"),
        Kind("platform-staff-only", HTTPStatus.FORBIDDEN, "Only platform staff may ask that"),
        Kind("not-found", HTTPStatus.NOT_FOUND, "There is nothing here"),
        Kind("ticket-not-found", HTTPStatus.NOT_FOUND, "There is no such ticket"),
        Kind("ticket-not-parked", HTTPStatus.NOT_FOUND, "The ticket is not parked"),
        Kind("method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED, "The method is not allowed here"),
        Kind("ticket-exists", HTTPStatus.CONFLICT, "The ticket exists already"),
        Kind("ticket-retired", HTTPStatus.CONFLICT, "The ticket is retired"),
        Kind("command-in-progress", HTTPStatus.CONFLICT, "The first command is still running"),
        Kind("projection-taken-over", HTTPStatus.CONFLICT, "Somebody else took the projection"),
        Kind("operation-running", HTTPStatus.CONFLICT, "The same is being done already"),
        Kind("version-unknown", HTTPStatus.CONFLICT, "The projection has no such version"),
        Kind("ticket-gone", HTTPStatus.GONE, "The ticket is retired"),
        Kind("version-conflict", HTTPStatus.PRECONDITION_FAILED, "The ticket has changed since"),
        Kind("body-too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large"),
        Kind("unsupported-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "JSON is required"),
        Kind("invalid-body", HTTPStatus.UNPROCESSABLE_ENTITY, "The body has the wrong shape"),
        Kind("invalid-name", HTTPStatus.UNPROCESSABLE_ENTITY, "The name is not usable"),
        Kind("invalid-features", HTTPStatus.UNPROCESSABLE_ENTITY, "The features are not usable"),
        Kind("unknown-system", HTTPStatus.UNPROCESSABLE_ENTITY, "There is no such system"),
        Kind("unknown-feature", HTTPStatus.UNPROCESSABLE_ENTITY, "The system lacks a feature"),
        Kind("key-reused", HTTPStatus.UNPROCESSABLE_ENTITY, "The key stands for another command"),
        Kind("precondition-required", HTTPStatus.PRECONDITION_REQUIRED, "If-Match is required"),
        Kind("internal-error", HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed"),
        Kind("issuer-unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "The issuer does not answer"),
        Kind("store-unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "The store does not answer"),
        Kind("signing-key-missing", HTTPStatus.SERVICE_UNAVAILABLE, "There is no key to sign with"),
        Kind("overloaded", HTTPStatus.SERVICE_UNAVAILABLE, "Too much is waiting"),
        Kind("projection-behind", HTTPStatus.SERVICE_UNAVAILABLE, "The view is not there yet"),
    )
}

_STATUS_CODES: Final = {
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
}

_ERROR_CODES: Final[dict[type[TicketbookError], str]] = {
    KeyReused: "key-reused",
    Overloaded: "overloaded",
    ProjectionBehind: "projection-behind",
    TicketNotParked: "ticket-not-parked",
    Fenced: "projection-taken-over",
    OperationRunning: "operation-running",
    VersionUnknown: "version-unknown",
}


_NO_ANSWER: Final = (
    "The store does not answer. Try again; a command may or may not have been stored: "
    "repeat it with the same Idempotency-Key."
)

MOST_FAULTS: Final = 20
"""Most faults in one answer: a body of wrong items must not come back fifty times its size."""

_log = structlog.get_logger(__name__)


class FaultModel(BaseModel):
    """One thing wrong with one part of the request."""

    pointer: str = Field(description="RFC 6901 path into the body, or /query/…, /header/…")
    code: str
    detail: str


class ProblemModel(BaseModel):
    """An RFC 9457 problem document."""

    type: str = Field(description="Relative address of the problem's description")
    title: str
    status: int
    detail: str = Field(description="What is wrong in this case, and what to do")
    code: str = Field(json_schema_extra={"enum": list(KINDS)})
    errors: list[FaultModel] = []
    currentVersion: int | None = Field(default=None, description="With version-conflict")


class Problem(Exception):
    """A request that ends in a problem document."""

    def __init__(
        self,
        code: str,
        detail: str,
        faults: Sequence[Fault] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = KINDS[code]
        self.detail = detail
        self.faults = faults
        self.headers = headers or {}


def response(
    code: str,
    detail: str,
    faults: Sequence[Fault] = (),
    *,
    version: int | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    kind = KINDS[code]
    body: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": kind.title,
        "status": kind.status.value,
        "detail": detail,
        "code": code,
        "errors": faults,
    }
    if version is not None:
        body["currentVersion"] = version
    headers = dict(headers or {})
    if kind.status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", "Bearer")
    if kind.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", "1")
    return Response(
        to_json(body, inf_nan_mode="null"), kind.status, headers=headers, media_type=MEDIA_TYPE
    )


CALLER: Final = (
    "token-missing",
    "token-invalid",
    "token-expired",
    "token-not-yet-valid",
    "scope-missing",
    "issuer-unavailable",
    "invalid-parameter",
)
"""What every route that asks who calls may answer."""

READ: Final = (*CALLER, "projection-behind", "store-unavailable")
"""What every read of a view may answer."""


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(KINDS[code].status.value, []).append(code)
    return {
        status: {
            "description": ", ".join(sorted(codes)),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemModel"}}},
        }
        for status, codes in by_status.items()
    }


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
    if isinstance(error, StoreUnavailable):  # its own words may tell where the store is
        request_id = request.state.correlation_id
        _log.error("store.unavailable", problem=str(error), request_id=request_id)
        return response("store-unavailable", _NO_ANSWER)
    for kind in type(error).__mro__:
        if kind in _ERROR_CODES:
            return response(_ERROR_CODES[kind], str(error))
    raise error  # `Envelope` logs it: its words may hold another organisation's data


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
    if all((e["loc"], e["type"]) == (("body", "features"), "too_long") for e in errors):
        code = "invalid-features"
    detail = "; ".join(f"{fault.pointer or 'body'}: {fault.detail}" for fault in faults[:3])
    return response(code, detail, faults)


def _pointer(location: Sequence[int | str]) -> str:
    parts = list(location)
    if parts and parts[0] == "body":
        parts = parts[1:]
    return "".join(f"/{escaped(str(part))}" for part in parts)


def escaped(part: str) -> str:
    """One step of a pointer (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _STATUS_CODES.get(error.status_code)
    if code is None:
        code = "malformed-json" if error.status_code < 500 else "internal-error"
    headers = dict(error.headers or {})
    detail = str(error.detail)
    match code:
        case "not-found":
            detail = f"There is nothing at {request.url.path}. The routes are listed at /docs."
        case "method-not-allowed":
            headers["Allow"] = ", ".join(_methods(request))
            detail = f"{request.method} is not possible at {request.url.path}."
        case "malformed-json":
            detail = f"The body is not JSON: {_unreadable(error.__cause__)}."
    return response(code, detail, headers=headers)


def _methods(request: Request) -> Sequence[str]:
    """Every method that some route has at this address."""
    scope, routes = request.scope, request.app.router.routes
    return [
        method
        for method in sorted(HTTPMethod)
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]


def _unreadable(cause: BaseException | None) -> str:
    """Why a body could not be parsed, where it is not its syntax."""
    match cause:
        case UnicodeDecodeError():
            return "it is not UTF-8"
        case RecursionError():
            return "it is nested too deeply"
        case _:
            return "a value in it can not be read"


def schemas() -> dict[str, Any]:
    """The OpenAPI schemas of a problem document."""
    _, definitions = models_json_schema(
        [(ProblemModel, "serialization")], ref_template="#/components/schemas/{model}"
    )
    return dict(definitions["$defs"])
