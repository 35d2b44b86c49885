"""The past in the audit view on MongoDB, at a cost that does not grow with the log.

The index of the organisation, of the feature, or of all tickets gives ticket ids in order; another
gives each ticket's last entry up to the position. As in a search, the index with the most sparse
entries leads.
"""

from collections.abc import Collection, Sequence
from typing import Final

from pymongo.collection import Collection as MongoCollection

from infrastructure.mongodb.client import Document
from projections.audit.as_of import SCAN
from projections.tickets.search import TicketFilter

_SLICE: Final = 200
"""Least number of tickets whose last entries are read at once."""

BY_TICKET: Final = (("ticketId", 1), ("_id", -1))
BY_ORGANISATION: Final = (("orgId", 1), ("ticketId", 1), ("_id", -1))
BY_FEATURE: Final = (("changed", 1), ("ticketId", 1), ("_id", -1))


def last_entries(
    rows: MongoCollection[Document],
    position: int,
    where: TicketFilter,
    beyond: str | None,
    limit: int,
) -> tuple[Sequence[Document], str | None]:
    """The last entry up to `position` of each of the first matching tickets, at most `limit`; and
    the last ticket id that a page may examine, or None if it may examine all."""
    lead, index, edge = _lead(rows, where, beyond or "")
    window = {"$gt": beyond or ""} | ({} if edge is None else {"$lte": edge})
    ids: list[Document] = [
        {"$match": {**lead, "ticketId": window}},
        {"$group": {"_id": "$ticketId"}},
        {"$sort": {"_id": 1}},
    ]
    tickets = [group["_id"] for group in rows.aggregate(ids, hint=dict(index))]
    entries: list[Document] = []
    step = max(2 * limit, _SLICE)
    for start in range(0, len(tickets), step):
        ticket_ids = tickets[start : start + step]
        upto = {"ticketId": {"$in": ticket_ids}, "_id": {"$lte": position}}
        entries += sorted(_last(rows, upto, BY_TICKET, _held(where)), key=lambda e: e["ticketId"])
        if len(entries) >= limit:
            break
    return entries[:limit], edge


def last_grants(
    rows: MongoCollection[Document], feature: str, ticket_ids: Collection[str], position: int
) -> dict[str, Document]:
    """The last entry of each ticket, up to `position`, that granted it the feature."""
    match = {
        "changed": feature,
        "granted": feature,
        "ticketId": {"$in": list(ticket_ids)},
        "_id": {"$lte": position},
    }
    return {entry["ticketId"]: entry for entry in _last(rows, match, BY_FEATURE)}


def _last(
    rows: MongoCollection[Document],
    match: Document,
    index: Sequence[tuple[str, int]],
    held: Document | None = None,
) -> list[Document]:
    """The last entry of each ticket, if `held` matches it. As the order is that of the index,
    $first jumps from one ticket to the next."""
    pipeline: list[Document] = [
        {"$match": match},
        {"$sort": {"ticketId": 1, "_id": -1}},
        {"$group": {"_id": "$ticketId", "last": {"$first": "$$ROOT"}}},
        {"$match": held or {}},
    ]
    return [group["last"] for group in rows.aggregate(pipeline, hint=dict(index))]


def _held(where: TicketFilter) -> Document:
    """The condition on the last entry of a ticket: in use, and with the values of `where`."""
    values = {
        "last.orgId": where.org_id,
        "last.system": where.system,
        "last.after.name": where.name,
        "last.after.features": where.feature,
    }
    wanted = {field: value for field, value in values.items() if value is not None}
    return {"last.after.retired": False, **wanted}


def _lead(
    rows: MongoCollection[Document], where: TicketFilter, beyond: str
) -> tuple[Document, Sequence[tuple[str, int]], str | None]:
    """The condition that gives the ticket ids, its index, and the last id that a page may
    examine."""
    leads: list[tuple[Document, Sequence[tuple[str, int]]]] = []
    if where.feature is not None:
        leads.append(({"changed": where.feature}, BY_FEATURE))
    if where.org_id is not None:
        leads.append(({"orgId": where.org_id}, BY_ORGANISATION))
    edges: list[tuple[str, Document, Sequence[tuple[str, int]]]] = []
    for lead, index in leads or [({}, BY_TICKET)]:
        cursor = rows.find(
            {**lead, "ticketId": {"$gt": beyond}},
            {"_id": 0, "ticketId": 1},
            sort=[("ticketId", 1), ("_id", -1)],
            hint=list(index),
            skip=SCAN - 1,
            limit=1,
        )
        edge = next(cursor, None)
        if edge is None:
            return lead, index, None
        edges.append((edge["ticketId"], lead, index))
    last, lead, index = max(edges, key=lambda cursor: cursor[0])
    return lead, index, last
