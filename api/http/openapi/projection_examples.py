"""Examples of the routes for operators, and of health."""

from typing import Any, Final

from api.http.openapi.example import Example
from api.http.openapi.ticket_examples import TICKET_ID

_STATUS: Final[dict[str, Any]] = {
    "version": 1,
    "state": "current",
    "position": 4,
    "head": 4,
    "lagEvents": 0,
    "lagSeconds": 0.0,
    "lease": {
        "holder": "ticketbook-1:4711:07dfc334",
        "fence": 1,
        "expiresAt": "2026-11-23T10:52:43.204Z",
        "expired": False,
    },
    "parked": [],
}
_LIVE: Final = {**_STATUS, "role": "live", "build": None}
_PROJECTION: Final = {**_STATUS, "name": "tickets", "versions": [_LIVE], "skipped": []}
_BUILDING: Final = {
    **_STATUS,
    "version": 2,
    "role": "building",
    "state": "paused",
    "position": 2,
    "lagEvents": 2,
    "lagSeconds": 12.5,
    "build": {"target": 4, "progress": 0.5, "paused": True, "rate": 1000, "complete": False},
}
_CONTROLLED: Final = _PROJECTION | {"versions": [_LIVE, _BUILDING]}
_SKIPPED: Final = _PROJECTION | {
    "skipped": [
        {
            "position": 2,
            "ticketId": TICKET_ID,
            "actor": "ada",
            "reason": "made by hand",
            "at": "2026-11-23T10:53:00.000Z",
        }
    ]
}

_JOB_ID: Final = "6b041c0462e0e2f4dbd15cff"
_STARTED: Final[dict[str, Any]] = {
    "id": _JOB_ID,
    "kind": "rebuild",
    "projection": "tickets",
    "state": "running",
    "phase": None,
    "position": None,
    "head": None,
    "rate": None,
    "startedAt": "2026-11-23T10:52:40.662Z",
    "finishedAt": None,
    "by": "ada",
    "reason": "new shape",
    "result": None,
    "error": None,
}
_DONE: Final = _STARTED | {
    "kind": "rollback",
    "state": "done",
    "finishedAt": "2026-11-23T10:52:41.007Z",
    "result": {"version": 1},
}

_NAME: Final = {"name": "tickets"}
_PARKED: Final = {"name": "tickets", "ticket_id": TICKET_ID}


def _job(kind: str, **body: Any) -> Example:
    reason = body.get("reason")
    return Example(body=body, answer=_STARTED | {"kind": kind, "reason": reason}, parameters=_NAME)


_HEALTHY: Final = {
    "name": "tickets",
    "state": "current",
    "head": 4,
    "lagEvents": 0,
    "lagSeconds": 0.0,
    "parked": 0,
    "versions": [
        {
            "version": 1,
            "role": "live",
            "state": "current",
            "position": 4,
            "lagEvents": 0,
            "lagSeconds": 0.0,
            "parked": 0,
            "progress": None,
        }
    ],
}

PROJECTION_EXAMPLES: Final = {
    "GET /v1/projections": Example(answer={"items": [_PROJECTION]}),
    "GET /v1/projections/{name}": Example(answer=_PROJECTION, parameters=_NAME),
    "POST /v1/projections/{name}/rebuild": _job("rebuild", reason="new shape", rate=5000),
    "POST /v1/projections/{name}/verify": _job("verify", reason="weekly", repair=True),
    "POST /v1/projections/{name}/rollback": _job("rollback", reason="readers complain"),
    "POST /v1/projections/{name}/drop-old": _job("drop-old", dryRun=True),
    "POST /v1/projections/{name}/cancel": _job("cancel", reason="not now"),
    "POST /v1/projections/{name}/pause": Example(answer=_CONTROLLED, parameters=_NAME),
    "POST /v1/projections/{name}/resume": Example(
        answer=_PROJECTION
        | {
            "versions": [
                _LIVE,
                _BUILDING
                | {
                    "state": "building",
                    "build": {
                        "target": 4,
                        "progress": 0.5,
                        "paused": False,
                        "rate": 1000,
                        "complete": False,
                    },
                },
            ]
        },
        parameters=_NAME,
    ),
    "POST /v1/projections/{name}/throttle": Example(
        body={"rate": 1000}, answer=_CONTROLLED, parameters=_NAME
    ),
    "POST /v1/projections/{name}/parked/{ticket_id}/retry": Example(
        answer=_PROJECTION, parameters=_PARKED
    ),
    "POST /v1/projections/{name}/parked/{ticket_id}/skip": Example(
        body={"reason": "made by hand"}, answer=_SKIPPED, parameters=_PARKED
    ),
    "GET /v1/operations": Example(
        answer={"items": [_DONE], "next": None}, parameters={"limit": 10}
    ),
    "GET /v1/operations/{operation_id}": Example(
        answer=_DONE, parameters={"operation_id": _JOB_ID}
    ),
    "GET /healthz": Example(answer={"status": "ok"}),
    "GET /readyz": Example(answer={"status": "ready", "projections": [_HEALTHY], "problems": []}),
    "GET /metrics": Example(
        answer="# HELP ticketbook_store_up 1 when the store answers.\n"
        "# TYPE ticketbook_store_up gauge\n"
        "ticketbook_store_up 1.0\n"
    ),
}
