"""Searching the audit view on MongoDB, at a cost that does not grow with the log.

One filter leads: an index gives its entries in order of position, and each is tested against the
other filters. The best leader is the filter whose entries are the most sparse: the position of each
filter's `SCAN`th entry from the start of the page is looked up, and the furthest one wins. A page
ends at that position.
"""

from collections.abc import Sequence
from typing import Final

from pymongo.collection import Collection as MongoCollection

from infrastructure.mongodb.client import Document
from projections.audit.search import SCAN, AuditFilter, Bounds

LEADING: Final = ("ticketId", "correlationId", "changed", "actor", "orgId", "system", "action")
"""The fields that can lead, each with an index on itself and the position. Among equally good
leaders the first one leads."""


def documents(
    rows: MongoCollection[Document],
    where: AuditFilter,
    within: Bounds,
    *,
    limit: int,
    newest_first: bool,
) -> tuple[Sequence[Document], int | None]:
    """The first matching entries within the bounds, at most `limit`; and the last position that a
    page may examine, or None if it may examine all."""
    order = -1 if newest_first else 1
    leader, edge = _leader(rows, where, within, order)
    within = within.until(edge, newest_first=newest_first)
    match = {"$and": [{"_id": _range(within)}, leader, *_tests(where)]}
    cursor = rows.find(match, sort=[("_id", order)], hint=_index(leader), limit=limit)
    return list(cursor), edge


def _leading(where: AuditFilter) -> list[Document]:
    """The filters that have a value and can lead, in the order of `LEADING`."""
    changed = (where.granted, where.revoked, where.feature)
    values = {
        "ticketId": [where.ticket_id],
        "correlationId": [where.correlation_id],
        "changed": changed,
        "actor": [where.actor],
        "orgId": [where.org_id],
        "system": [where.system],
        "action": [where.action],
    }
    return [{field: value} for field in LEADING for value in values[field] if value is not None]


def _tests(where: AuditFilter) -> list[Document]:
    """All filters, except `changed`: of two features only one can lead."""
    tests: list[Document] = [filter_ for filter_ in _leading(where) if "changed" not in filter_]
    if where.granted is not None:
        tests.append({"granted": where.granted})
    if where.revoked is not None:
        tests.append({"revoked": where.revoked})
    if where.feature is not None:
        tests.append({"$or": [{"granted": where.feature}, {"revoked": where.feature}]})
    if where.text is not None:  # literally: no character is a pattern or a path
        place = {"$indexOfCP": ["$folded", {"$literal": where.text.casefold()}]}
        tests.append({"$expr": {"$gte": [{"$ifNull": [place, -1]}, 0]}})
    return tests


def _leader(
    rows: MongoCollection[Document], where: AuditFilter, within: Bounds, order: int
) -> tuple[Document, int | None]:
    """The leading filter, empty if none can lead, and the last position of its page."""
    edges: list[tuple[int, Document]] = []
    for filter_ in _leading(where) or [{}]:
        cursor = rows.find(
            {**filter_, "_id": _range(within)},
            {"_id": 1},
            sort=[("_id", order)],
            hint=_index(filter_),
            skip=SCAN - 1,
            limit=1,
        )
        edge = next(cursor, None)
        if edge is None:
            return filter_, None
        edges.append((edge["_id"], filter_))
    farthest = max if order == 1 else min
    last, leader = farthest(edges, key=lambda cursor: cursor[0])
    return leader, last


def _range(within: Bounds) -> Document:
    return {"$gt": within.above, "$lt": within.below}


def _index(leader: Document) -> list[tuple[str, int]]:
    for field in leader:
        return [(field, 1), ("_id", -1 if field == "ticketId" else 1)]
    return [("_id", 1)]
