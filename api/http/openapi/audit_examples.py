"""Examples of the routes about who did what: the ticket of the other examples, as auditors see
it."""

import json
from typing import Any, Final

from api.http.openapi.example import Example
from api.http.openapi.ticket_examples import CREATED_ENTRY, ORGANISATION, SYSTEM, TICKET_ID

_GRANTED: Final[dict[str, Any]] = {
    "position": 2,
    "at": "2026-11-23T10:41:07.013Z",
    "actor": "ada",
    "action": "ticket.features_changed",
    "reason": "old machine goes",
    "correlationId": "379ff72b577dd1fb555496fb44bb27aa",
}
_REVOKED: Final = _GRANTED | {
    "position": 3,
    "at": "2026-11-23T10:41:52.020Z",
    "action": "ticket.retired",
    "reason": None,
    "correlationId": "5a8f146e7faf919ac477115511f0894b",
}
_HEAD: Final = {
    "position": 1,
    "hash": CREATED_ENTRY["hash"],
    "time": "2026-11-23T10:51:11.240Z",
    "key": "adpea9A2A65RzLxRRqy3w38FLHTjE8q2REHYqsAArHo=",
    "signature": "XTbkUQEUiNTSWmqXsNG+8XxpFaKXcAIFXtAGkUiWVYcTzWOHyl91/Tug4UqT1LUTqU4ek7gUg7wYvzb"
    "ELs3BDA==",
}
_EVENT: Final = {
    "recorded_at": "2026-11-23T10:39:53.474000Z",
    "data": {
        "origin": {
            "actor": "ada",
            "reason": "new crew",
            "correlation_id": CREATED_ENTRY["correlationId"],
            "causation_id": None,
            "occurred_at": "2026-11-23T10:39:53.473000Z",
        },
        "org_id": ORGANISATION,
        "system": SYSTEM,
        "name": "Night shift",
        "features": ["get_all", "create_yarn"],
    },
}
_EXPORTED: Final = CREATED_ENTRY | {
    "previous": "0" * 64,
    "event": json.dumps(_EVENT, separators=(",", ":")),
}

AUDIT_EXAMPLES: Final = {
    "GET /v1/audit": Example(
        answer={"items": [CREATED_ENTRY], "next": None},
        parameters={"feature": "create_yarn", "limit": 10},
    ),
    "GET /v1/audit/reads": Example(
        answer={
            "items": [
                {
                    "number": 7,
                    "at": "2026-11-23T10:50:01.368Z",
                    "actor": "ada",
                    "orgId": ORGANISATION,
                    "action": "audit.searched",
                    "details": {"feature": "create_yarn", "limit": "10"},
                    "correlationId": "002d7e8fbc34ba1ae0c06e5ca3b84ea9",
                }
            ],
            "next": None,
        },
        parameters={"limit": 10},
    ),
    "GET /v1/audit/head": Example(answer=_HEAD),
    "GET /v1/audit/export": Example(
        answer=json.dumps(_EXPORTED, separators=(",", ":")),
        parameters={"feature": "create_yarn", "format": "ndjson"},
    ),
    "GET /v1/grants": Example(
        answer={
            "items": [
                {
                    "ticketId": TICKET_ID,
                    "orgId": ORGANISATION,
                    "system": SYSTEM,
                    "name": "Night shift",
                    "grants": [{"granted": _GRANTED, "revoked": _REVOKED}],
                }
            ],
            "next": None,
        },
        parameters={"feature": "delete_machine", "system": SYSTEM, "on": "2026-11-23"},
    ),
    "GET /v1/diff": Example(
        answer={
            "items": [
                {
                    "ticketId": TICKET_ID,
                    "orgId": ORGANISATION,
                    "system": SYSTEM,
                    "before": CREATED_ENTRY["after"],
                    "after": {
                        "name": "Night shift",
                        "features": ["get_all", "create_yarn", "delete_machine"],
                        "retired": False,
                    },
                    "added": None,
                    "retired": None,
                    "restored": None,
                    "renamed": None,
                    "granted": [{"feature": "delete_machine", "by": _GRANTED}],
                    "revoked": [],
                }
            ],
            "next": None,
        },
        parameters={"from": "1", "to": "2"},
    ),
}
