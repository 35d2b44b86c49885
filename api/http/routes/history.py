"""`/v1/tickets/{id}/history`: the events of a ticket."""

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.responses import Response

from api.http.errors.problems import READ, Problem, documented
from api.http.request import paging
from api.http.request.callers import Reading
from api.http.request.conditions import TicketId
from api.http.request.entries import entry_items
from api.http.request.reading import MinEventPosition, journaled, read
from api.wire.audit import AuditPage
from projections.audit.projection import AuditEntry
from projections.audit.search import AuditFilter, AuditReader

router = APIRouter(prefix="/v1/tickets", tags=["Tickets"])


@router.get(
    "/{ticket_id}/history",
    response_model=AuditPage,
    responses=documented(*READ, "overloaded", "ticket-not-found"),
)
async def ticket_history(
    call: Reading,
    ticket_id: TicketId,
    limit: paging.Limit = paging.DEFAULT_LIMIT,
    cursor: paging.Cursor = None,
    position: MinEventPosition = None,
) -> Response:
    """Everything that happened to the ticket, oldest first. The question is recorded."""
    where = AuditFilter(org_id=call.caller.org_id, ticket_id=ticket_id)
    beyond = paging.position_of(cursor, where)

    def find(view: AuditReader) -> Sequence[AuditEntry]:
        return view.search(where, beyond=beyond, limit=limit + 1, newest_first=False)

    entries = await journaled(
        call,
        "ticket.history_read",
        lambda: read(call, call.service.audit, position, find, ticket_id=ticket_id),
    )
    if not entries and beyond is None:
        raise Problem("ticket-not-found", f"There is no ticket {ticket_id}.")
    items = await entry_items(call, entries[:limit])
    more = None
    if len(entries) > limit:
        more = paging.cursor_after(str(entries[limit - 1].position), where)
    return paging.page(call.request, items, more, {})
