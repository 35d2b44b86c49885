"""`/v1/tickets`: commands, and the content of tickets."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic_core import to_json
from starlette.responses import Response

from api.http.errors.problems import CALLER, PAST, READ, STORE, Problem, documented
from api.http.request.bodies import BodyRoute
from api.http.request.callers import Call, Reading, Writing
from api.http.request.conditions import (
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    TicketId,
    etag,
    expected_version,
    idempotency_key,
    unchanged,
    weak_tag_told,
)
from api.http.request.reading import MinEventPosition, read
from api.http.routes.as_of import At, AtPosition, AtVersion, ticket_then
from api.wire.fields import REASON_LENGTH
from api.wire.tickets import (
    ChangeTicketBody,
    CreateTicketBody,
    RestoreTicketBody,
    TicketModel,
    TicketThenModel,
    ticket_json,
)
from domain.deciding import Outcome, Submission
from domain.errors import VersionConflict
from domain.ticket.commands import (
    Command,
    CreateTicket,
    RestoreTicket,
    RetireTicket,
)
from domain.ticket.state import Ticket
from projections.running.projection import Parked
from projections.tickets.search import TicketReader

router = APIRouter(prefix="/v1/tickets", tags=["Tickets"], route_class=BodyRoute)

WRITE: Final = (
    *CALLER,
    "malformed-json",
    "invalid-body",
    "body-too-large",
    "unsupported-media-type",
    "key-reused",
    "command-in-progress",
    "overloaded",
    *STORE,
)
"""Problems that every command may answer."""

NO_ORGANISATION: Final = (
    "A ticket belongs to the caller's organisation, and this token names none. "
    "Use a token of the organisation that the ticket is for."
)

_CHANGE: Final = (*WRITE, "ticket-not-found", "version-conflict", "precondition-required")


@router.post(
    "",
    status_code=201,
    response_model=TicketModel,
    responses=documented(
        *WRITE,
        "organisation-required",
        "invalid-name",
        "invalid-features",
        "unknown-system",
        "unknown-feature",
    ),
)
async def create_ticket(
    call: Writing,
    body: CreateTicketBody,
    key: IdempotencyKey = None,
) -> Response:
    """Create a ticket for the caller's organisation."""
    if call.caller.org_id is None:
        raise Problem("organisation-required", NO_ORGANISATION)
    command = CreateTicket(
        ticket_id=call.service.new_id(),
        origin=call.origin(body.reason),
        org_id=call.caller.org_id,
        system=body.system,
        name=body.name,
        features=tuple(body.features),
    )
    outcome = await _submitted(call, key, command)
    return _answer(outcome, 201, {"Location": f"/v1/tickets/{outcome.ticket_id}"})


@router.get(
    "/{ticket_id}",
    response_model=TicketModel | TicketThenModel,
    responses={
        304: {"description": "The ETag is still the same"},
        **documented(*READ, *PAST, "ticket-not-found", "ticket-gone", "overloaded"),
    },
)
async def get_ticket(
    call: Reading,
    ticket_id: TicketId,
    at: At = None,
    at_position: AtPosition = None,
    version: AtVersion = None,
    if_none_match: IfNoneMatch = None,
    position: MinEventPosition = None,
) -> Response:
    """The ticket as it is now; or as it was at a moment, a position or a version, also if it was
    retired then. A question about the past is recorded.

    `Parked-At` names a position of the log from which on the answer lacks what happened to the
    ticket: it is parked, and waits for an operator.
    """
    if at is not None or at_position is not None or version is not None:
        return await ticket_then(call, ticket_id, at=at, position=at_position, version=version)

    def find(view: TicketReader) -> tuple[Ticket | None, Parked | None]:
        ticket = view.get(ticket_id)
        if ticket is None or call.caller.org_id not in (None, ticket.org_id):
            return None, None
        return ticket, call.service.tickets.parked().get(ticket_id)

    ticket, parked = await read(
        call,
        call.service.tickets,
        position,
        find,
        ticket_id=ticket_id,
        shows=lambda answer: answer[0].position if answer[0] else 0,
    )
    if ticket is None:
        raise Problem("ticket-not-found", f"There is no ticket {ticket_id}.")
    headers = {"ETag": etag(ticket.version), "Event-Position": str(ticket.position)}
    if parked is not None:  # what happened to it since does not show
        headers["Parked-At"] = str(parked.position)
    if ticket.retired:
        raise Problem(
            "ticket-gone",
            f"Ticket {ticket_id} is retired. POST to its /restore to have it back; "
            "its /history says who retired it.",
            headers=headers,
        )
    if unchanged(if_none_match, ticket.version):
        return Response(status_code=304, headers=headers)
    return _json(ticket_json(ticket), 200, headers)


@router.patch(
    "/{ticket_id}",
    response_model=TicketModel,
    responses=documented(
        *_CHANGE,
        "ticket-retired",
        "invalid-name",
        "invalid-features",
        "unknown-feature",
        "unknown-system",
    ),
)
async def change_ticket(
    call: Writing,
    ticket_id: TicketId,
    body: ChangeTicketBody,
    if_match: IfMatch = None,
    key: IdempotencyKey = None,
) -> Response:
    """Rename the ticket, change its features, or both at once. Changing nothing is fine.

    `features` is the full list. `grant` and `revoke` name the difference alone: with `If-Match: *`
    they hold on whatever the ticket holds by then. New features come last. To grant what is held,
    or to revoke what is not, changes nothing.
    """
    commands = body.commands(
        ticket_id,
        call.origin(body.reason),
        within=call.caller.org_id,
        expected_version=expected_version(if_match),
    )
    outcome = await _submitted(call, key, *commands)
    return _answer(outcome, 200, {})


@router.delete("/{ticket_id}", status_code=204, responses=documented(*_CHANGE))
async def retire_ticket(
    call: Writing,
    ticket_id: TicketId,
    reason: Annotated[str | None, Query(max_length=REASON_LENGTH)] = None,
    if_match: IfMatch = None,
    key: IdempotencyKey = None,
) -> Response:
    """Retire the ticket: it grants nothing any more, and its history stays."""
    origin = call.origin(reason)
    command = RetireTicket(ticket_id, origin, call.caller.org_id, expected_version(if_match))
    outcome = await _submitted(call, key, command)
    return Response(status_code=204, headers=_headers(outcome))


@router.post(
    "/{ticket_id}/restore",
    response_model=TicketModel,
    responses=documented(*WRITE, "ticket-not-found", "version-conflict"),
)
async def restore_ticket(
    call: Writing,
    ticket_id: TicketId,
    body: RestoreTicketBody | None = None,
    if_match: IfMatch = None,
    key: IdempotencyKey = None,
) -> Response:
    """Bring a retired ticket back as it was."""
    origin = call.origin(body.reason if body else None)
    expected = None if if_match is None else expected_version(if_match)
    command = RestoreTicket(ticket_id, origin, call.caller.org_id, expected)
    outcome = await _submitted(call, key, command)
    return _answer(outcome, 200, {})


async def _submitted(call: Call, key: str | None, *commands: Command) -> Outcome:
    try:
        return await call.submitter.submit(Submission(commands, await idempotency_key(call, key)))
    except VersionConflict as conflict:
        raise weak_tag_told(call.request.headers.get("if-match"), conflict) from None


def _answer(outcome: Outcome, status: int, headers: dict[str, str]) -> Response:
    assert outcome.ticket is not None
    return _json(ticket_json(outcome.ticket), status, {**headers, **_headers(outcome)})


def _headers(outcome: Outcome) -> dict[str, str]:
    headers = {"ETag": etag(outcome.version), "Event-Position": str(outcome.position)}
    return headers | ({"Idempotent-Replayed": "true"} if outcome.replayed else {})


def _json(body: dict[str, Any], status: int, headers: dict[str, str]) -> Response:
    return Response(to_json(body), status, headers=headers, media_type="application/json")
