"""Examples of the routes about tickets and the catalogue: one ticket, from its making on."""

from typing import Any, Final

from api.http.errors.problems import KINDS, example
from api.http.openapi.example import Example

TICKET_ID: Final = "6b0417f93d8b903e28dcca9b"
ORGANISATION: Final = "52f22665a60c12d289185d95"
SYSTEM: Final = "revolution_counter_1"

_CREATED_AT: Final = "2026-11-23T10:39:53.473Z"
_CREATED: Final[dict[str, Any]] = {
    "_id": TICKET_ID,
    "name": "Night shift",
    "orgId": ORGANISATION,
    "system": SYSTEM,
    "features": ["get_all", "create_yarn"],
    "createdAt": _CREATED_AT,
    "updatedAt": _CREATED_AT,
    "version": 1,
}
_CHANGED: Final = _CREATED | {
    "features": ["get_all", "delete_machine"],
    "updatedAt": "2026-11-23T10:41:07.012Z",
    "version": 2,
}
_RESTORED: Final = _CHANGED | {"updatedAt": "2026-11-23T10:42:30.500Z", "version": 4}

CREATED_ENTRY: Final[dict[str, Any]] = {
    "position": 1,
    "ticketId": TICKET_ID,
    "version": 1,
    "orgId": ORGANISATION,
    "system": SYSTEM,
    "action": "ticket.created",
    "actor": "ada",
    "reason": "new crew",
    "correlationId": "9eb51aa8ef5bc9c21f75c780ce775624",
    "causationId": None,
    "occurredAt": _CREATED_AT,
    "recordedAt": "2026-11-23T10:39:53.474Z",
    "before": None,
    "after": {"name": "Night shift", "features": ["get_all", "create_yarn"], "retired": False},
    "granted": ["get_all", "create_yarn"],
    "revoked": [],
    "hash": "14312b81f3fa940540103fbdab14d7074015978d4c661973e0e8523bfd595c05",
}
"""The first audit entry of the ticket."""

_SYSTEM: Final = {
    "name": SYSTEM,
    "description": "Counts the revolutions of knitting machines and keeps their logs.",
    "features": [
        {"name": "create_yarn", "description": "Add a kind of yarn."},
        {"name": "delete_machine", "description": "Remove a machine."},
        {"name": "get_all", "description": "List everything of one kind."},
    ],
}
_MISSING: Final = KINDS["ticket-not-found"]
_NOT_FOUND: Final = example(_MISSING) | {
    "errors": [{"pointer": "/items/1", "code": _MISSING.code, "detail": _MISSING.detail}]
}
_ONE: Final = {"ticket_id": TICKET_ID}

TICKET_EXAMPLES: Final = {
    "POST /v1/tickets": Example(
        body={
            "name": "Night shift",
            "system": SYSTEM,
            "features": ["get_all", "create_yarn"],
            "reason": "new crew",
        },
        answer=_CREATED,
    ),
    "GET /v1/tickets": Example(
        answer={"items": [_RESTORED], "next": None},
        parameters={"system": SYSTEM, "feature": "get_all"},
    ),
    "GET /v1/tickets/{ticket_id}": Example(answer=_RESTORED, parameters=_ONE),
    "PATCH /v1/tickets/{ticket_id}": Example(
        body={"features": ["get_all", "delete_machine"], "reason": "old machine goes"},
        answer=_CHANGED,
        parameters=_ONE,
    ),
    "DELETE /v1/tickets/{ticket_id}": Example(
        parameters={**_ONE, "reason": "the crew is dissolved"}
    ),
    "POST /v1/tickets/{ticket_id}/restore": Example(
        body={"reason": "retired by mistake"}, answer=_RESTORED, parameters=_ONE
    ),
    "POST /v1/tickets/batch": Example(
        body={
            "items": [
                {
                    "action": "create",
                    "name": "Night shift",
                    "system": SYSTEM,
                    "features": ["get_all", "create_yarn"],
                },
                {"action": "change", "ticketId": TICKET_ID, "grant": ["delete_machine"]},
            ],
            "reason": "new crew",
        },
        answer={
            "items": [
                {"result": "created", "ticket": _CREATED},
                {"result": "refused", "problem": _NOT_FOUND},
            ]
        },
    ),
    "GET /v1/tickets/{ticket_id}/history": Example(
        answer={"items": [CREATED_ENTRY], "next": None}, parameters=_ONE
    ),
    "GET /v1/systems": Example(answer={"items": [_SYSTEM]}),
    "GET /v1/systems/{system}": Example(answer=_SYSTEM, parameters={"system": SYSTEM}),
}
