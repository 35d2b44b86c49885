"""`GET /v1/tickets`: which tickets there are, and which there were."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.http.errors.problems import PAST, READ, Problem, documented
from api.http.request import paging
from api.http.request.audit_filter import Organisation
from api.http.request.callers import Call, Reading, organisation_of
from api.http.request.known_names import refuse_unknown_names
from api.http.request.reading import MinEventPosition, read
from api.http.routes.as_of import At, AtPosition, tickets_then
from api.wire.tickets import TicketPage, ticket_json
from domain.errors import Fault
from domain.ticket.handlers import NAME_LENGTH
from projections.tickets.search import TicketFilter, TicketSearch

router = APIRouter(prefix="/v1/tickets", tags=["Tickets"])


@router.get(
    "",
    response_model=TicketPage,
    responses=documented(*READ, *PAST, "overloaded", "platform-staff-only"),
)
async def list_tickets(
    call: Reading,
    system: Annotated[str | None, Query(max_length=200)] = None,
    name: Annotated[str | None, Query(max_length=400, description="The whole name")] = None,
    name_contains: Annotated[
        str | None,
        Query(
            alias="nameContains",
            min_length=1,
            max_length=NAME_LENGTH,
            description="Part of the name, in whatever case",
        ),
    ] = None,
    feature: Annotated[str | None, Query(max_length=200)] = None,
    retired: Annotated[
        Literal["true", "false"],
        Query(description="`true` for the retired tickets instead of those in use"),
    ] = "false",
    org: Organisation = None,
    at: At = None,
    at_position: AtPosition = None,
    limit: paging.Limit = paging.DEFAULT_LIMIT,
    cursor: paging.Cursor = None,
    position: MinEventPosition = None,
) -> Response:
    """The organisation's tickets in use, by id: now, or at a moment or position of the past.

    With `retired=true` or `nameContains` a page looks at 10,000 tickets at most. Where few of them
    match it ends early, maybe empty: there is more for as long as `next` is not null. Neither goes
    with the past.

    Of the past, `Event-Position` says where in the log that is, for every page; with `feature`,
    `grantedBy` says who granted it; a page looks at 3,000 entries of the audit log at most, and
    there is more for as long as `next` is not null; the question is recorded.
    """
    where = TicketFilter(organisation_of(call, org), system, name, feature)
    search = TicketSearch(where, retired == "true", name_contains)
    await refuse_unknown_names(call, where.org_id, position, system=system, feature=feature)
    if at is not None or at_position is not None:
        _refuse_of_the_past(search)
        return await tickets_then(
            call, where, at=at, position=at_position, limit=limit, cursor=cursor
        )
    if search.retired or search.name_contains is not None:
        return await _searched(call, search, limit=limit, cursor=cursor, position=position)
    after_id = paging.id_of(cursor, where)
    tickets = await read(
        call, call.service.tickets, position, lambda view: view.find(where, after_id, limit + 1)
    )
    items = [ticket_json(ticket) for ticket in tickets[:limit]]
    more = paging.cursor_after(tickets[limit - 1].id, where) if len(tickets) > limit else None
    return paging.page(call.request, items, more, {})


def _refuse_of_the_past(search: TicketSearch) -> None:
    """Raise a `Problem` if the search has a condition that the past cannot answer."""
    for name, value in (
        ("retired", search.retired or None),
        ("nameContains", search.name_contains),
    ):
        if value is not None:
            detail = f"{name} asks about the present. Leave out at and position, or {name}."
            fault = Fault(f"/query/{name}", "not-of-the-past", detail)
            raise Problem("invalid-parameter", detail, (fault,))


async def _searched(
    call: Call, search: TicketSearch, *, limit: int, cursor: str | None, position: int | None
) -> Response:
    after_id = paging.id_of(cursor, search)
    page = await read(
        call, call.service.tickets, position, lambda view: view.search(search, after_id, limit)
    )
    items = [ticket_json(ticket) for ticket in page.tickets]
    more = page.beyond and paging.cursor_after(page.beyond, search)
    return paging.page(call.request, items, more, {})
