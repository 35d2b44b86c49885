"""The past: tickets as they were at a moment, a position of the log, or a version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import Query
from starlette.responses import Response

from api.http.errors.problems import Problem
from api.http.request import paging
from api.http.request.callers import Call
from api.http.request.moments import Moment
from api.http.request.numbers import DIGITS
from api.http.request.reading import journaled, read
from api.use_cases.positions import position_at
from api.wire.fields import ID_PATTERN, iso
from api.wire.moments import LARGEST, POSITION, no_position
from api.wire.tickets import ticket_then_json
from domain.errors import EventUnreadable, Fault
from domain.ticket.events import Recorded
from domain.ticket.state import fold
from infrastructure.stores import AuditView
from projections.audit.as_of import ThenPage, ticket_at
from projections.tickets.search import TicketFilter

At = Annotated[Moment, Query(description="As it was then: ISO 8601 with a time zone, not to come")]
AtPosition = Annotated[
    int | None,
    Query(alias="position", ge=0, le=LARGEST, description="As it was there in the log"),
    DIGITS,
]
AtVersion = Annotated[
    int | None, Query(ge=1, le=LARGEST, description="As it was at this version"), DIGITS
]

Histories = Mapping[str, Sequence[Recorded | EventUnreadable]]
"""The events of each ticket, by its id."""

_PLACE: Final = f"{POSITION}-{ID_PATTERN.strip('^$')}"


@dataclass(frozen=True, slots=True)
class _Question:
    """The question that a cursor goes on with; another question refuses it."""

    where: TicketFilter
    at: datetime | None
    position: int | None


async def ticket_then(
    call: Call, ticket_id: str, *, at: datetime | None, position: int | None, version: int | None
) -> Response:
    """The ticket as it was then, in use or retired. It comes from the log itself."""
    _refuse_several(at=at, position=position, version=version)
    _refuse_the_future(call, at)

    def find() -> dict[str, Any] | None:
        if at is not None:
            call.service.times.refuse(at)
        if position is not None:
            refuse_beyond(call.service.log.head(), position, "position")
        history = call.service.log.fragments([ticket_id]).get(ticket_id, ())
        until = [
            event
            for event in _readable(call, history, at=at, position=position, version=version)
            if (at is None or event.recorded_at <= at)
            and (position is None or event.position <= position)
            and (version is None or event.version <= version)
        ]
        ticket = fold(until) if version is None or len(history) >= version else None
        if ticket is None or call.caller.org_id not in (None, ticket.org_id):
            return None
        return ticket_then_json(ticket)

    ticket = await journaled(call, "ticket.asked_as_of", lambda: to_thread.run_sync(find))
    if ticket is None:
        raise Problem("ticket-not-found", f"There was no ticket {ticket_id} then.")
    return paging.answer(ticket, {})


def _readable(
    call: Call,
    history: Sequence[Recorded | EventUnreadable],
    *,
    at: datetime | None,
    position: int | None,
    version: int | None,
) -> Sequence[Recorded]:
    """The events of a ticket, without those that cannot be read. Raises `EventUnreadable` when
    one of these happened until then, unless the audit log passes over it."""
    damaged = [event for event in history if isinstance(event, EventUnreadable)]
    if damaged:
        skipped = call.service.audit.versions.skipped()
        upto = position
        if at is not None:
            upto = call.service.audit.view.position_at(at)
        if version is not None and version <= len(history):
            upto = history[version - 1].position
        for error in damaged:
            if error.position not in skipped and (upto is None or error.position <= upto):
                raise error
    return [event for event in history if isinstance(event, Recorded)]


async def tickets_then(
    call: Call,
    where: TicketFilter,
    *,
    at: datetime | None,
    position: int | None,
    limit: int,
    cursor: str | None,
) -> Response:
    """The tickets in use then, by id. All pages tell of the same position of the log."""
    _refuse_several(at=at, position=position)
    question = _Question(where, at, position)
    place = paging.place_of(cursor, question, _PLACE)
    if place is None:
        reached, beyond = await position_meant(call, at, position), None
    else:
        text, _, beyond = place.partition("-")
        reached = int(text)

    def find(view: AuditView) -> tuple[ThenPage, Histories]:
        page = view.tickets_at(reached, where, beyond=beyond, limit=limit)
        ids = [ticket.entry.ticket_id for ticket in page.tickets]
        return page, call.service.log.fragments(ids)

    page, fragments = await journaled(
        call, "tickets.asked_as_of", lambda: read(call, call.service.audit, reached, find)
    )
    items = [
        ticket_then_json(
            ticket_at(ticket.entry, fragments[ticket.entry.ticket_id]), ticket.granted_by
        )
        for ticket in page.tickets
    ]
    following = page.beyond and paging.cursor_after(f"{reached}-{page.beyond}", question)
    return paging.page(call.request, items, following, {"Event-Position": str(reached)})


async def position_meant(
    call: Call, at: datetime | None, position: int | None, name: str = "at"
) -> int:
    """The position of the log that a moment, or a position itself, means: for a moment, that of
    the last event recorded then or before. A moment that is still to come is refused."""
    if position is not None:
        head = await to_thread.run_sync(call.service.log.head)
        return refuse_beyond(head, position, "position" if name == "at" else name)
    assert at is not None
    _refuse_the_future(call, at, name)
    return await position_at(call.service, at, org_id=call.caller.org_id)


def refuse_beyond(head: int, position: int, name: str) -> int:
    """The position, if the log goes so far."""
    if position > head:
        _refuse(name, "in-the-future", no_position(position, head))
    return position


def _refuse_the_future(call: Call, at: datetime | None, name: str = "at") -> None:
    now = call.service.clock()
    if at is not None and at > now:
        _refuse(name, "in-the-future", f"It is {iso(now)} now: nobody knows what will be true.")


def _refuse_several(**times: object) -> None:
    names = [name for name, value in times.items() if value is not None]
    if len(names) > 1:
        detail = f"Give one of {' and '.join(names)}, not both: each of them says when."
        _refuse(names[1], "one-too-many", detail)


def _refuse(name: str, code: str, detail: str) -> None:
    raise Problem("invalid-parameter", detail, (Fault(f"/query/{name}", code, detail),))
