"""`/v1/audit`: who changed what, when and why."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from starlette.responses import Response

from api.http import freshness, paging
from api.http.callers import Auditing
from api.http.freshness import MinEventPosition
from api.http.models import ID_PATTERN, AuditPage, JournalPage, entry_json, journal_json
from api.http.problems import CALLER, READ, documented
from api.http.recorded import record, recorded
from projections.audit import AuditEntry, AuditFilter
from projections.journal import JournalEntry

router = APIRouter(prefix="/v1/audit", tags=["Audit"])

Text = Annotated[str | None, Query(max_length=200)]


def _written(given: str) -> str:
    """Not a bare number: pydantic would take it for seconds."""
    if not re.match(r"\d{4}-\d\d-\d\d", given):
        raise ValueError("write it like 2025-10-28T09:30:00Z")
    return given


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond the years 1 to 9999 in UTC") from None


Moment = Annotated[
    Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_in_utc)] | None,
    Query(description="ISO 8601 with a time zone"),
]


@dataclass(frozen=True, slots=True)
class _Question:
    """What a cursor is bound to."""

    where: AuditFilter
    newest_first: bool


@router.get(
    "",
    response_model=AuditPage,
    responses=documented(*READ, "overloaded"),
)
async def search_audit(
    call: Auditing,
    system: Text = None,
    ticket: Annotated[str | None, Query(pattern=ID_PATTERN)] = None,
    actor: Text = None,
    action: Text = None,
    feature: Annotated[str | None, Query(max_length=200, description="Granted or revoked")] = None,
    correlation: Text = None,
    since: Moment = None,
    before: Moment = None,
    order: Literal["newest", "oldest"] = "newest",
    limit: paging.Limit = paging.DEFAULT_LIMIT,
    cursor: paging.Cursor = None,
    position: MinEventPosition = None,
) -> Response:
    """The organisation's audit entries that match every filter given. That somebody asked is
    recorded."""
    where = AuditFilter(
        call.caller.org_id, system, ticket, actor, action, feature, correlation, since, before
    )
    newest_first = order == "newest"
    question = _Question(where, newest_first)
    beyond = paging.position_of(cursor, question)
    reading = freshness.read(
        call,
        "audit",
        position,
        lambda view: view.search(where, beyond=beyond, limit=limit + 1, newest_first=newest_first),
        ticket_id=ticket,
    )
    found: Sequence[AuditEntry] = await recorded(call, "audit.searched", reading)
    items = [entry_json(entry) for entry in found[:limit]]
    more = len(found) > limit
    following = paging.cursor_after(str(found[limit - 1].position), question) if more else None
    return paging.page(call.request, items, following, {})


@dataclass(frozen=True, slots=True)
class _Readers:
    """What a cursor through the journal is bound to."""

    org_id: str | None


@router.get(
    "/reads",
    response_model=JournalPage,
    responses=documented(*CALLER, "overloaded", "store-unavailable"),
)
async def audit_reads(
    call: Auditing,
    limit: paging.Limit = paging.DEFAULT_LIMIT,
    cursor: paging.Cursor = None,
) -> Response:
    """Who read the audit log, and what operators did, newest first. An organisation sees what its
    own auditors asked, this question included; platform staff see everything."""
    readers = _Readers(call.caller.org_id)
    beyond = paging.position_of(cursor, readers)
    read = call.service.journal.read

    def find() -> Sequence[tuple[int, JournalEntry]]:
        return read(readers.org_id, beyond=beyond, limit=limit + 1)

    await record(call, "journal.read")
    found = await to_thread.run_sync(find)
    items = [journal_json(number, entry) for number, entry in found[:limit]]
    more = len(found) > limit
    following = paging.cursor_after(str(found[limit - 1][0]), readers) if more else None
    return paging.page(call.request, items, following, {})
