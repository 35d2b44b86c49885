"""`/v1/diff`: what changed between two moments, and who did it."""

from dataclasses import dataclass
from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Query
from starlette.responses import Response

from api.http.errors.problems import PAST, READ, Problem, documented
from api.http.request import paging
from api.http.request.audit_filter import Organisation, Text
from api.http.request.callers import Auditing, Call, organisation_of
from api.http.request.known_names import refuse_unknown_names
from api.http.request.moments import NOT_A_TIME
from api.http.request.reading import journaled, read
from api.http.routes.as_of import position_meant
from api.wire.diff import TicketDiffPageModel, ticket_diff_json
from api.wire.fields import ID_PATTERN
from api.wire.moments import POSITION, when_of
from domain.errors import Fault
from infrastructure.stores import AuditView
from projections.audit.diff import TicketDiffPage, ticket_diffs
from projections.audit.search import AuditFilter

router = APIRouter(prefix="/v1/diff", tags=["Audit"])

_WHEN: Final = {"pattern": rf"^({POSITION}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ].{{1,40}})$"}
_PLACE: Final = f"{POSITION}-{POSITION}-{POSITION}"


@dataclass(frozen=True, slots=True)
class _Question:
    """The question that a cursor goes on with; another question refuses it."""

    where: AuditFilter
    start: str
    end: str | None


@router.get(
    "",
    response_model=TicketDiffPageModel,
    responses=documented(*READ, *PAST, "overloaded", "platform-staff-only"),
)
async def compare(
    call: Auditing,
    start: Annotated[
        str,
        Query(
            alias="from",
            description="A position of the log, or a moment: ISO 8601 with a time zone",
            json_schema_extra=_WHEN,  # checked in `_position`, which says how to write it
        ),
    ],
    end: Annotated[
        str | None,
        Query(alias="to", description="The same; now when left out", json_schema_extra=_WHEN),
    ] = None,
    system: Text = None,
    ticket: Annotated[str | None, Query(pattern=ID_PATTERN)] = None,
    org: Organisation = None,
    limit: paging.Limit = paging.DEFAULT_LIMIT,
    cursor: paging.Cursor = None,
) -> Response:
    """How the organisation's tickets differ after `to` from what they were after `from`: added,
    retired, restored, renamed, features granted and revoked, each with the entry of the audit log
    that did it. A change that was undone in between does not count. The question is
    recorded.

    The tickets come in the order of their first changes. A page may end early, maybe empty: there
    is more for as long as `next` is not null.
    """
    where = AuditFilter(org_id=organisation_of(call, org), system=system, ticket_id=ticket)
    question = _Question(where, start, end)
    place = paging.place_of(cursor, question, _PLACE)
    beyond: int | None = None
    await refuse_unknown_names(call, where.org_id, system=system)
    if place is None:
        after = await _position(call, start, "from")
        upto = await _position(call, end, "to")  # not before the other: the log may grow meanwhile
        if after > upto:
            detail = "from is later than to."
            fault = Fault("/query/from", "later-than-to", detail)
            raise Problem("invalid-parameter", detail, (fault,))
    else:
        after, upto, beyond = map(int, place.split("-"))

    def find(view: AuditView) -> TicketDiffPage:
        return ticket_diffs(view, where, after, upto, beyond=beyond, limit=limit)

    page = await journaled(
        call,
        "audit.compared",
        lambda: read(call, call.service.audit, upto, find, ticket_id=ticket),
    )
    items = [ticket_diff_json(diff) for diff in page.diffs]
    following = page.beyond and paging.cursor_after(f"{after}-{upto}-{page.beyond}", question)
    return paging.page(call.request, items, following or None, {"Event-Position": str(upto)})


async def _position(call: Call, when: str | None, name: str) -> int:
    """The position that the text says, or now."""
    if when is None:
        return await to_thread.run_sync(call.service.log.head)
    try:
        meant = when_of(when)
    except ValueError as error:
        fault = Fault(f"/query/{name}", NOT_A_TIME, str(error))
        raise Problem("invalid-parameter", f"{name}: {error}", (fault,)) from None
    if isinstance(meant, int):
        return await position_meant(call, None, meant, name)
    return await position_meant(call, meant, None, name)
