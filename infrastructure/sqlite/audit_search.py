"""Searching the audit view on SQLite, at a cost that does not grow with the log.

One filter leads: an index gives its entries in order of position, and each is tested against the
other filters. The best leader is the filter whose entries are the most sparse: the position of each
filter's `SCAN`th entry from the start of the page is looked up, and the furthest one wins. A page
ends at that position.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Final

from projections.audit.search import SCAN, AuditFilter, Bounds


@dataclass(frozen=True, slots=True)
class _Filter:
    """One filter, with a value.

    - `test`: the SQL condition on an entry `a`.
    - `index`: the index that gives its entries; "features" for the table of features, `c`; None if
      the filter can never lead.
    - `leads`: a further condition on `c`.
    """

    value: str
    index: str | None
    test: str
    leads: str = ""


_OF_FEATURE: Final = (
    "EXISTS (SELECT 1 FROM {features} c WHERE c.feature = ? AND c.position = a.position{gain})"
)


def positions(
    connection: Connection,
    rows: str,
    where: AuditFilter,
    within: Bounds,
    *,
    limit: int,
    newest_first: bool,
) -> tuple[Sequence[int], int | None]:
    """The first positions of matching entries within the bounds, at most `limit`; and the last
    position that a page may examine, or None if it may examine all."""
    filters = _filters(f"{rows}_features", where)
    order = "DESC" if newest_first else "ASC"
    leader, edge = _leader(connection, rows, filters, within, order)
    within = within.until(edge, newest_first=newest_first)
    table, by, condition = _source(rows, leader)
    if by == "c":
        table += f" CROSS JOIN {rows} a USING (position)"
    others = [filter_ for filter_ in filters if filter_ is not leader]
    query = (
        f"SELECT {by}.position FROM {table} WHERE "
        + " AND ".join([condition, *(filter_.test for filter_ in others)])
        + f" AND {by}.position > ? AND {by}.position < ? ORDER BY {by}.position {order} LIMIT ?"
    )
    values = [filter_.value for filter_ in ([leader] if leader else []) + others]
    rows_found = connection.execute(query, [*values, within.above, within.below, limit]).fetchall()
    return [row[0] for row in rows_found], edge


def _filters(features: str, where: AuditFilter) -> list[_Filter]:
    """The filters that have a value. Among equally good leaders the first one leads."""
    gained, lost = " AND c.gained", " AND NOT c.gained"
    every = (
        (where.ticket_id, "ticket", "a.ticket_id = ?", ""),
        (where.correlation_id, "correlation", "a.correlation_id = ?", ""),
        (where.granted, "features", _OF_FEATURE.format(features=features, gain=gained), gained),
        (where.revoked, "features", _OF_FEATURE.format(features=features, gain=lost), lost),
        (where.feature, "features", _OF_FEATURE.format(features=features, gain=""), ""),
        (where.actor, "actor", "a.actor = ?", ""),
        (where.org_id, "org", "a.org_id = ?", ""),
        (where.system, "system", "a.system = ?", ""),
        (where.action, "action", "a.action = ?", ""),
        (where.text and where.text.casefold(), None, "instr(casefold(a.reason), ?) > 0", ""),
    )
    return [
        _Filter(value, index, test, leads)
        for value, index, test, leads in every
        if value is not None
    ]


def _leader(
    connection: Connection, rows: str, filters: Sequence[_Filter], within: Bounds, order: str
) -> tuple[_Filter | None, int | None]:
    """The leading filter, if any, and the last position of its page."""
    edges: list[tuple[int, _Filter | None]] = []
    leaders: list[_Filter | None] = [filter_ for filter_ in filters if filter_.index]
    for filter_ in leaders or [None]:
        table, by, condition = _source(rows, filter_)
        query = (
            f"SELECT {by}.position FROM {table} WHERE {condition} "
            f"AND {by}.position > ? AND {by}.position < ? "
            f"ORDER BY {by}.position {order} LIMIT 1 OFFSET {SCAN - 1}"
        )
        values = [filter_.value] if filter_ else []
        edge = connection.execute(query, [*values, within.above, within.below]).fetchone()
        if edge is None:
            return filter_, None
        edges.append((edge[0], filter_))
    farthest = max if order == "ASC" else min
    edge, leader = farthest(edges, key=lambda candidate: candidate[0])
    return leader, edge


def _source(rows: str, leader: _Filter | None) -> tuple[str, str, str]:
    """The source of the entries: the table, its name in the query, and the condition."""
    if leader is None:
        return f"{rows} a NOT INDEXED", "a", "true"
    if leader.index == "features":
        return f"{rows}_features c", "c", f"c.feature = ?{leader.leads}"
    return f"{rows} a INDEXED BY {rows}_{leader.index}", "a", leader.test
