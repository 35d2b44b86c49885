"""The headers of answers, by route and status."""

from typing import Any, Final

_COMMANDS: Final = (
    "POST /v1/tickets",
    "PATCH /v1/tickets/{ticket_id}",
    "DELETE /v1/tickets/{ticket_id}",
    "POST /v1/tickets/{ticket_id}/restore",
)
_BATCH: Final = "POST /v1/tickets/batch"
_PAGES: Final = (
    "GET /v1/tickets",
    "GET /v1/tickets/{ticket_id}/history",
    "GET /v1/audit",
    "GET /v1/audit/reads",
    "GET /v1/grants",
    "GET /v1/diff",
    "GET /v1/operations",
)
_STARTS: Final = tuple(
    f"POST /v1/projections/{{name}}/{verb}"
    for verb in ("rebuild", "rollback", "drop-old", "verify", "cancel")
)
_MEANINGS: Final = {
    "X-Request-ID": "The request's id: the one that was sent, else a new one",
    "ETag": 'The ticket\'s version, like `"3"`; send it as `If-Match`',
    "Event-Position": "Position of the event; send it as `Min-Event-Position` to read it for sure",
    "Parked-At": "The ticket is parked there: what happened to it since does not show",
    "Idempotent-Replayed": "`true` when this is the answer of the first command with this key",
    "Location": "Address of what was made",
    "Link": 'The next page: `<address>; rel="next"`; absent on the last page',
    "Content-Disposition": "A name for the file",
    "WWW-Authenticate": "`Bearer`",
    "Retry-After": "Seconds to wait before the request is repeated",
}
_EXAMPLES: Final = {
    "X-Request-ID": "0af7651916cd43dd8448eb211c80319c",
    "ETag": '"3"',
    "Event-Position": "42",
    "Parked-At": "41",
    "Idempotent-Replayed": "true",
    "Location": "/v1/tickets/6b0417f93d8b903e28dcca9b",
    "Link": '</v1/audit?limit=10&cursor=NzAxM2RhNTA4>; rel="next"',
    "Content-Disposition": 'attachment; filename="audit.ndjson"',
    "WWW-Authenticate": "Bearer",
    "Retry-After": "1",
}


def headers(route: str, status: str) -> dict[str, Any]:
    """The headers of an answer of a route, like `GET /v1/tickets`, as OpenAPI describes them."""
    always, sometimes = ["X-Request-ID"], list[str]()
    if status == "401":
        always.append("WWW-Authenticate")
    if status == "503" and route != "GET /readyz":
        always.append("Retry-After")
    if route in _COMMANDS:
        if status in ("200", "201", "204"):
            always += ["ETag", "Event-Position"]
            sometimes.append("Idempotent-Replayed")
        if status in ("404", "409", "412", "422"):
            sometimes.append("Idempotent-Replayed")
        if status == "409":
            sometimes.append("Retry-After")
    if route == _BATCH:
        if status == "200":
            always.append("Event-Position")
        if status in ("200", "404", "409", "412", "422"):
            sometimes.append("Idempotent-Replayed")
        if status == "409":
            sometimes.append("Retry-After")
    if route == "GET /v1/tickets/{ticket_id}":
        if status in ("304", "410"):
            always += ["ETag", "Event-Position"]
        if status in ("200", "304", "410"):
            sometimes.append("Parked-At")
        if status == "200":
            sometimes += ["ETag", "Event-Position"]  # not those of the past
    if status in ("201", "202") and route in (*_COMMANDS, *_STARTS):
        always.append("Location")
    if status == "200":
        if route in _PAGES:
            sometimes.append("Link")
        if route in ("GET /v1/grants", "GET /v1/diff"):
            always.append("Event-Position")
        if route == "GET /v1/tickets":
            sometimes.append("Event-Position")  # of the past
        if route == "GET /v1/audit/export":
            always.append("Content-Disposition")
    return {name: _described(name, name in always) for name in (*always, *sometimes)}


def _described(name: str, required: bool) -> dict[str, Any]:
    return {
        "description": _MEANINGS[name],
        "required": required,
        "schema": {"type": "string"},
        "example": _EXAMPLES[name],
    }
