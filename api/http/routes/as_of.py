"""What was true then: tickets as they were at a moment, a position of the log, or a version."""

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
from api.use_cases import freshness
from api.use_cases.journaling import journaled
from api.wire.fields import ID_PATTERN, iso
from api.wire.moments import LARGEST, POSITION, no_position
from api.wire.tickets import ticket_then_json
from domain.errors import EventUnreadable, Fault
from domain.ticket.events import Recorded
from domain.ticket.state import fold
from projections.audit.as_of import ThenPage, ticket_at
from projections.tickets.search import TicketFilter

At = Annotated[Moment, Query(description="As it was then: ISO 8601 with a time zone, not to come")]
AtPosition = Annotated[
    int | None, Query(alias="position", ge=0, le=LARGEST, description="As it was there in the log")
]
AtVersion = Annotated[int | None, Query(ge=1, le=LARGEST, description="As it was at this version")]

_PLACE: Final = f"{POSITION}-{ID_PATTERN.strip('^$')}"


@dataclass(frozen=True, slots=True)
class _Question:
    """What a cursor is bound to."""

    where: TicketFilter
    at: datetime | None
    position: int | None


async def ticket_then(
    call: Call, ticket_id: str, *, at: datetime | None, position: int | None, version: int | None
) -> Response:
    """What the ticket held then, in use or retired. It comes from the log itself."""
    _refuse_several(at=at, position=position, version=version)
    _refuse_the_future(call, at)

    def find() -> dict[str, Any] | None:
        if position is not None:
            refuse_beyond(call.service.log.head(), position, "position")
        told = call.service.log.fragments([ticket_id]).get(ticket_id, ())
        until = [
            journaled
            for journaled in _readable(call, told, at=at, position=position, version=version)
            if (at is None or journaled.recorded_at <= at)
            and (position is None or journaled.position <= position)
            and (version is None or journaled.version <= version)
        ]
        ticket = fold(until) if version is None or len(told) >= version else None
        if ticket is None or call.caller.org_id not in (None, ticket.org_id):
            return None
        return ticket_then_json(ticket)

    found = await journaled(call, "ticket.asked_as_of", to_thread.run_sync(find))
    if found is None:
        raise Problem("ticket-not-found", f"There was no ticket {ticket_id} then.")
    return paging.answer(found, {})


def _readable(
    call: Call,
    told: Sequence[Recorded | EventUnreadable],
    *,
    at: datetime | None,
    position: int | None,
    version: int | None,
) -> Sequence[Recorded]:
    """The events of a ticket, without those that cannot be read. Raises `EventUnreadable` when
    one of these happened until then, unless the audit log passes over it."""
    damaged = [one for one in told if isinstance(one, EventUnreadable)]
    if damaged:
        passed = call.service.audit.versions.skipped()
        upto = position
        if at is not None:
            upto = call.service.audit.view.position_at(at)
        if version is not None and version <= len(told):
            upto = told[version - 1].position
        for one in damaged:
            if one.position not in passed and (upto is None or one.position <= upto):
                raise one
    return [one for one in told if isinstance(one, Recorded)]


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

    def find(view: Any) -> tuple[ThenPage, Mapping[str, Sequence[Recorded | EventUnreadable]]]:
        page: ThenPage = view.tickets_at(reached, where, beyond=beyond, limit=limit)
        ids = [one.entry.ticket_id for one in page.tickets]
        return page, call.service.log.fragments(ids)

    reading = freshness.read(call, "audit", reached, find)
    page, fragments = await journaled(call, "tickets.asked_as_of", reading)
    items = [
        ticket_then_json(ticket_at(one.entry, fragments[one.entry.ticket_id]), one.granted_by)
        for one in page.tickets
    ]
    following = page.beyond and paging.cursor_after(f"{reached}-{page.beyond}", question)
    return paging.page(call.request, items, following, {"Event-Position": str(reached)})


async def position_meant(
    call: Call, at: datetime | None, position: int | None, name: str = "at"
) -> int:
    """The position of the log that a moment, or a position itself, means: for a moment, that of
    the last event recorded then or before. What is still to come is refused, as nobody knows it."""
    if position is not None:
        head = await to_thread.run_sync(call.service.log.head)
        return refuse_beyond(head, position, "position" if name == "at" else name)
    assert at is not None
    _refuse_the_future(call, at, name)
    return await position_at(call, at)


async def position_at(call: Call, moment: datetime) -> int:
    """The position of the last event recorded at a moment or before. If nothing was recorded later
    that is the head, whatever clock the events were recorded by."""
    found: int | None = await freshness.read(
        call, "audit", None, lambda view: view.position_at(moment)
    )
    if found is not None:
        return found
    # nothing later is in the view yet: it must show all there is before that means anything
    head = await to_thread.run_sync(call.service.log.head)
    again: int | None = await freshness.read(
        call, "audit", head, lambda view: view.position_at(moment)
    )
    return head if again is None else again


def refuse_beyond(head: int, position: int, name: str) -> int:
    """The position, if the log goes so far."""
    if position > head:
        _refuse(name, "in-the-future", no_position(position, head))
    return position


def _refuse_the_future(call: Call, at: datetime | None, name: str = "at") -> None:
    now = call.service.clock()
    if at is not None and at > now:
        _refuse(name, "in-the-future", f"It is {iso(now)} now: nobody knows what will be true.")


def _refuse_several(**given: object) -> None:
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        detail = f"Give one of {' and '.join(names)}, not both: each of them says when."
        _refuse(names[1], "one-too-many", detail)


def _refuse(name: str, code: str, detail: str) -> None:
    raise Problem("invalid-parameter", detail, (Fault(f"/query/{name}", code, detail),))
