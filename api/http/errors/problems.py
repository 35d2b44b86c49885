"""Errors as RFC 9457 problem documents: one closed list, one table, one shape."""

from collections.abc import Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema
from pydantic_core import to_json
from starlette.responses import Response

from api.http.errors.kind import Kind
from api.http.errors.outcome_kinds import OUTCOME_KINDS
from api.http.errors.request_kinds import REQUEST_KINDS
from domain.errors import Fault

MEDIA_TYPE: Final = "application/problem+json"


KINDS: Final = {
    kind.code: kind
    for kind in sorted((*REQUEST_KINDS, *OUTCOME_KINDS), key=lambda kind: kind.status)
}
"""The closed list, by code. `/problems/{code}`, the OpenAPI document and every error answer take
their words from here."""


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


def document(
    kind: Kind, detail: str, faults: Sequence[Fault], version: int | None
) -> dict[str, Any]:
    """The problem document, as JSON will have it but for the faults."""
    body: dict[str, Any] = {
        "type": f"/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status.value,
        "detail": detail,
        "code": kind.code,
        "errors": faults,
    }
    if version is not None:
        body["currentVersion"] = version
    return body


def example(kind: Kind) -> dict[str, Any]:
    """A problem document of this kind as it is sent."""
    problem = document(kind, kind.detail, kind.faults, kind.version)
    return problem | {"errors": [asdict(fault) for fault in kind.faults]}


def response(
    code: str,
    detail: str,
    faults: Sequence[Fault] = (),
    *,
    version: int | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    kind = KINDS[code]
    body = document(kind, detail, faults, version)
    headers = dict(headers or {})
    if kind.status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", "Bearer")
    if kind.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", "1")
    return Response(
        to_json(body, inf_nan_mode="null"), kind.status, headers=headers, media_type=MEDIA_TYPE
    )


ANY: Final = ("internal-error", "address-too-long", "head-too-large", "request-timeout")
"""What every route may answer."""

CALLER: Final = (
    "token-missing",
    "token-invalid",
    "token-expired",
    "token-not-yet-valid",
    "scope-missing",
    "issuer-unavailable",
    "invalid-parameter",
)
"""Problems that every route with a scope may answer."""

PAST: Final = ("log-ahead-of-clock",)
"""What every read may answer that names a time."""

STORE: Final = ("store-unavailable", "store-damaged", "row-unreadable", "ticket-unreadable")
"""What every route that asks the store may answer."""

READ: Final = (*CALLER, "projection-behind", *STORE)
"""Problems that every read of a view may answer."""


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(KINDS[code].status.value, []).append(code)
    return {
        status: {
            "description": ", ".join(sorted(codes)),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/ProblemModel"},
                    "examples": {
                        code: {"summary": KINDS[code].title, "value": example(KINDS[code])}
                        for code in codes
                    },
                }
            },
        }
        for status, codes in by_status.items()
    }


def schemas() -> dict[str, Any]:
    """The OpenAPI schemas of a problem document."""
    _, definitions = models_json_schema(
        [(ProblemModel, "serialization")], ref_template="#/components/schemas/{model}"
    )
    return dict(definitions["$defs"])
