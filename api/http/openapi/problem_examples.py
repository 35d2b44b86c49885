"""Examples of problems, true of their route."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi.routing import APIRoute

from api.http.openapi.ticket_examples import TICKET_ID
from api.http.request.bodies import unexpected_body
from api.http.request.callers import known_parameters, unknown_parameter
from domain.errors import REFUSALS

_MISSING: Final = {
    "GET /v1/systems/{system}": "There is no system 'workforce'. Did you mean 'workforce_2'?",
    "GET /v1/operations/{operation_id}": f"There is no operation {TICKET_ID}.",
}
_NO_PROJECTION: Final = "There is no projection 'ticket'. There are: tickets, audit."
_ITEM: Final = "/items/1"


def true_of(
    route: str, declared: APIRoute, scope: str, examples: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The problem documents of a route by code: `examples`, with what is different here."""
    name = route.partition(" ")[2]
    details = {"scope-missing": f"The token's scope lacks {scope}."}
    if name.startswith("/v1/projections/{name}"):
        details["not-found"] = _NO_PROJECTION
    elif route in _MISSING:
        details["not-found"] = _MISSING[route]
    documents = {
        code: document | ({"detail": details[code]} if code in details else {})
        for code, document in examples.items()
    }
    if "invalid-parameter" in documents:
        documents["invalid-parameter"] |= _misspelt(known_parameters(declared.dependant))
    if "invalid-body" in documents:
        documents["invalid-body"] |= (
            _one_fault("", "unexpected-body", unexpected_body(declared))
            if declared.body_field is None
            else _one_fault(
                "/colour", "extra-forbidden", "Extra inputs are not permitted", shown="/colour: "
            )
        )
    if name == "/v1/tickets/batch":
        for code in documents.keys() & REFUSALS.keys():
            documents[code] |= {"errors": _below_an_item(documents[code])}
    return documents


def _misspelt(known: list[str]) -> dict[str, Any]:
    """The fault of a parameter that lacks a letter, or that a route without any does not take."""
    long = next((name for name in known if len(name) > 4), None)
    name = f"{long[:2]}{long[3:]}" if long else "limit"
    return _one_fault(f"/query/{name}", "unknown-parameter", unknown_parameter(name, known))


def _one_fault(pointer: str, code: str, detail: str, shown: str = "") -> dict[str, Any]:
    fault = {"pointer": pointer, "code": code, "detail": detail}
    return {"detail": f"{shown}{detail}", "errors": [fault]}


def _below_an_item(document: dict[str, Any]) -> list[dict[str, str]]:
    """The faults of a refusal, as those of an item."""
    faults = [fault | {"pointer": _ITEM + fault["pointer"]} for fault in document["errors"]]
    return faults or [{"pointer": _ITEM, "code": document["code"], "detail": document["detail"]}]
