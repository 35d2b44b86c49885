"""What was true then: tickets as they were at a moment, a position of the log, or a version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import Query
from starlette.responses import Response

from api.http import freshness, paging
from api.http.callers import Call
from api.http.models import ID_PATTERN, iso, then_json
from api.http.moments import LARGEST, Moment
from api.http.problems import Problem
from api.http.recorded import recorded
from domain.errors import Fault
from domain.events import Recorded
from domain.ticket import fold
from projections.as_of import ThenPage
from projections.tickets import TicketFilter

At = Annotated[Moment, Query(description="As it was then: ISO 8601 with a time zone, not to come")]
AtPosition = Annotated[
    int | None, Query(alias="position", ge=0, le=LARGEST, description="As it was there in the log")
]
AtVersion = Annotated[int | None, Query(ge=1, le=LARGEST, description="As it was at this version")]

_PLACE: Final = "[0-9]{1,15}-" + ID_PATTERN.strip("^$")


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
        history = call.service.log.histories([ticket_id]).get(ticket_id, ())
        until = [
            recorded
            for recorded in history
            if (at is None or recorded.recorded_at <= at)
            and (position is None or recorded.position <= position)
            and (version is None or recorded.version <= version)
        ]
        ticket = fold(until) if version is None or len(until) == version else None
        if ticket is None or call.caller.org_id not in (None, ticket.org_id):
            return None
        return then_json(ticket)

    found = await recorded(call, "ticket.asked_as_of", to_thread.run_sync(find))
    if found is None:
        raise Problem("ticket-not-found", f"There was no ticket {ticket_id} then.")
    return paging.answer(found, {})


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
        reached, beyond = await position_of(call, at, position), None
    else:
        text, _, beyond = place.partition("-")
        reached = int(text)

    def find(view: Any) -> tuple[ThenPage, Mapping[str, Sequence[Recorded]]]:
        page: ThenPage = view.tickets_at(reached, where, beyond=beyond, limit=limit)
        ids = [one.entry.ticket_id for one in page.tickets]
        return page, call.service.log.histories(ids)

    reading = freshness.read(call, "audit", reached, find)
    page, histories = await recorded(call, "tickets.asked_as_of", reading)
    items = []
    for one in page.tickets:
        history = histories.get(one.entry.ticket_id, ())
        ticket = fold(recorded for recorded in history if recorded.position <= reached)
        assert ticket is not None  # the view is made from these very events
        items.append(then_json(ticket, one.granted_by))
    following = page.beyond and paging.cursor_after(f"{reached}-{page.beyond}", question)
    return paging.page(call.request, items, following, {"Event-Position": str(reached)})


async def position_of(
    call: Call, at: datetime | None, position: int | None, name: str = "at"
) -> int:
    """The position of the log that a moment, or a position itself, means: for a moment, that of
    the last event recorded then or before. What is still to come is refused, as nobody knows it."""
    if position is not None:
        head = await to_thread.run_sync(call.service.log.head)
        return refuse_beyond(head, position, "position" if name == "at" else name)
    assert at is not None
    _refuse_the_future(call, at, name)
    moment = at
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
        _refuse(name, "in-the-future", f"The log ends at position {head} now.")
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
