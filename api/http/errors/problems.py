"""Errors as RFC 9457 problem documents: one closed list, one table, one shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema
from pydantic_core import to_json
from starlette.responses import Response

from domain.errors import (
    Fault,
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


MOST_FAULTS: Final = 20
"""Most faults in one answer: a body of wrong items must not come back fifty times its size."""


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


def schemas() -> dict[str, Any]:
    """The OpenAPI schemas of a problem document."""
    _, definitions = models_json_schema(
        [(ProblemModel, "serialization")], ref_template="#/components/schemas/{model}"
    )
    return dict(definitions["$defs"])


def escaped(part: str) -> str:
    """One step of a pointer (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")
