"""`/v1/audit`: who changed what, when and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from anyio import to_thread
from fastapi import APIRouter
from starlette.responses import Response

from api.http.errors.problems import CALLER, PAST, READ, STORE, documented
from api.http.request import paging
from api.http.request.audit_filter import Filtered, Organisation, allowed
from api.http.request.callers import Auditing, organisation_of
from api.http.request.entries import entry_items
from api.http.request.known_names import refuse_unknown_names
from api.http.request.reading import MinEventPosition, journaled, read, record
from api.use_cases.known_names import filtered_names
from api.use_cases.positions import refuse_gaps
from api.wire.audit import AuditPage
from api.wire.journal import JournalPage, journal_entry_json
from infrastructure.journal.entries import JournalEntry
from projections.audit.search import AuditFilter, AuditReader, EntryPage

router = APIRouter(prefix="/v1/audit", tags=["Audit"])


@dataclass(frozen=True, slots=True)
class _Question:
    """The question that a cursor goes on with; another question refuses it."""

    where: AuditFilter
    newest_first: bool


@router.get(
    "",
    response_model=AuditPage,
    responses=documented(*READ, *PAST, "overloaded", "platform-staff-only"),
)
async def search_audit(
    call: Auditing,
    sent: Filtered,
    order: Literal["newest", "oldest"] = "newest",
    limit: paging.Limit = paging.DEFAULT_LIMIT,
    cursor: paging.Cursor = None,
    position: MinEventPosition = None,
) -> Response:
    """The organisation's audit entries that match every filter given, newest first unless `order`
    says otherwise. The question is recorded.

    A page looks at 10,000 entries at most. Where few of them match it ends early, maybe empty:
    there is more for as long as `next` is not null.
    """
    where = allowed(call, sent)
    newest_first = order == "newest"
    question = _Question(where, newest_first)
    beyond = paging.position_of(cursor, question)
    await refuse_unknown_names(call, where.org_id, position, **filtered_names(where))

    def find(view: AuditReader) -> EntryPage:
        refuse_gaps(call.service, where)
        return view.page(where, beyond=beyond, limit=limit, newest_first=newest_first)

    page = await journaled(
        call,
        "audit.searched",
        lambda: read(call, call.service.audit, position, find, ticket_id=where.ticket_id),
    )
    items = await entry_items(call, page.entries)
    return paging.page(call.request, items, paging.cursor_at(page.beyond, question), {})


@dataclass(frozen=True, slots=True)
class _Readers:
    """The question that a cursor through the journal goes on with."""

    org_id: str | None


@router.get(
    "/reads",
    response_model=JournalPage,
    responses=documented(*CALLER, "overloaded", *STORE, "platform-staff-only"),
)
async def audit_reads(
    call: Auditing,
    org: Organisation = None,
    limit: paging.Limit = paging.DEFAULT_LIMIT,
    cursor: paging.Cursor = None,
) -> Response:
    """Who read the audit log, and what operators did, newest first. An organisation sees what its
    own auditors asked, this question included; platform staff see everything."""
    readers = _Readers(organisation_of(call, org))
    beyond = paging.position_of(cursor, readers)
    read = call.service.journal.read

    def find() -> Sequence[tuple[int, JournalEntry]]:
        return read(readers.org_id, beyond=beyond, limit=limit + 1)

    await record(call, "journal.read")
    entries = await to_thread.run_sync(find)
    items = [journal_entry_json(number, entry) for number, entry in entries[:limit]]
    more = len(entries) > limit
    following = paging.cursor_after(str(entries[limit - 1][0]), readers) if more else None
    return paging.page(call.request, items, following, {})
