"""`/v1/grants`: who could do something on some day, and who granted it."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.http.errors.problems import PAST, READ, documented
from api.http.request import paging
from api.http.request.audit_filter import Organisation, Text
from api.http.request.callers import Auditing, organisation_of
from api.http.request.known_names import refuse_unknown_names
from api.http.request.moments import Day
from api.http.request.reading import journaled, read
from api.http.routes.as_of import position_meant
from api.use_cases.positions import position_at
from api.wire.fields import ID_PATTERN
from api.wire.grants import GrantsPageModel, grants_json
from api.wire.moments import POSITION, span_of
from infrastructure.stores import AuditView
from projections.audit.grants import GrantsPage, Place, Question, grants_between

router = APIRouter(prefix="/v1/grants", tags=["Audit"])

_ID_LENGTH: Final = 24
_PLACE: Final = f"{POSITION}-{POSITION}-({ID_PATTERN.strip('^$')}|{POSITION})"


@dataclass(frozen=True, slots=True)
class _CursorScope:
    """The question that a cursor goes on with; another question refuses it."""

    question: Question
    day: date


@router.get(
    "",
    response_model=GrantsPageModel,
    responses=documented(*READ, *PAST, "overloaded", "platform-staff-only"),
)
async def list_grants(
    call: Auditing,
    feature: Annotated[str, Query(max_length=200)],
    on: Annotated[Day, Query(description="A day of UTC, not to come")],
    system: Text = None,
    org: Organisation = None,
    limit: paging.Limit = paging.DEFAULT_LIMIT,
    cursor: paging.Cursor = None,
) -> Response:
    """The organisation's tickets that granted the feature at any time of that day, each with who
    granted it, and who revoked it that day. The question is recorded.

    Tickets that granted it when the day began come first, by id; then those that were granted it
    later, in that order. All pages cover the same part of the log; today ends where the first
    page was asked for. A page may end early, maybe empty: there is more for as long as `next` is
    not null.
    """
    question = Question(feature, organisation_of(call, org), system)
    scope = _CursorScope(question, on)
    place = paging.place_of(cursor, scope, _PLACE)
    beyond: Place | None = None
    await refuse_unknown_names(call, question.org_id, system=system, feature=feature)
    if place is None:
        before, last = span_of(on)
        after = 0 if before is None else await position_meant(call, before, None, "on")
        upto = await position_at(call.service, last, org_id=call.caller.org_id)
    else:
        start, end, reached = place.split("-")
        after, upto = int(start), int(end)
        beyond = reached if len(reached) == _ID_LENGTH else int(reached)

    def find(view: AuditView) -> GrantsPage:
        return grants_between(view, question, after, upto, beyond=beyond, limit=limit)

    page = await journaled(call, "grants.asked", lambda: read(call, call.service.audit, upto, find))
    items = [grants_json(ticket) for ticket in page.tickets]
    following = None
    if page.beyond is not None:
        following = paging.cursor_after(f"{after}-{upto}-{page.beyond}", scope)
    return paging.page(call.request, items, following, {"Event-Position": str(upto)})
