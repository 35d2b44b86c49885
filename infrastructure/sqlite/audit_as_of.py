"""The past in the audit view on SQLite, at a cost that does not grow with the log.

The index of the organisation, of the feature, or of all tickets gives ticket ids in order; each
ticket's last entry up to the position is one step in another index. As in a search, the index with
the most sparse entries leads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any, Final

from projections.audit.as_of import SCAN
from projections.tickets.search import TicketFilter

_IN_USE: Final = "a.after IS NOT NULL AND NOT json_extract(a.after, '$.retired')"
_HELD: Final = "EXISTS (SELECT 1 FROM json_each(a.after, '$.features') WHERE value = ?)"


@dataclass(frozen=True, slots=True)
class _Lead:
    source: str
    condition: str
    values: tuple[str, ...]


def last_positions(
    connection: Connection,
    rows: str,
    position: int,
    where: TicketFilter,
    beyond: str | None,
    limit: int,
) -> tuple[Sequence[tuple[str, int]], str | None]:
    """(ticket id, position of its last entry up to `position`) of the first matching tickets, at
    most `limit`; and the last ticket id that a page may examine, or None if it may examine all."""
    lead, edge = _lead(connection, rows, where, beyond or "")
    tests: list[tuple[str, Any]] = [
        ("a.org_id = ?", where.org_id),
        ("a.system = ?", where.system),
        ("json_extract(a.after, '$.name') = ?", where.name),
        (_HELD, where.feature),
    ]
    conditions = [(test, value) for test, value in tests if value is not None]
    until = "" if edge is None else "AND ticket_id <= ? "
    query = (
        f"SELECT t.ticket_id, a.position FROM (SELECT DISTINCT ticket_id FROM {lead.source} "
        f"WHERE {lead.condition} AND ticket_id > ? {until}ORDER BY ticket_id) t "
        f"CROSS JOIN {rows} a ON a.position = (SELECT max(l.position) FROM {rows} l "
        f"INDEXED BY {rows}_ticket WHERE l.ticket_id = t.ticket_id AND l.position <= ?) "
        f"WHERE {' AND '.join([_IN_USE, *(test for test, _ in conditions)])} LIMIT ?"
    )
    source_values = [*lead.values, beyond or "", *([] if edge is None else [edge])]
    values = [*source_values, position, *(value for _, value in conditions), limit]
    return connection.execute(query, values).fetchall(), edge


def last_grant(
    connection: Connection, rows: str, feature: str, ticket_id: str, position: int
) -> int | None:
    """The last position, up to `position`, at which the ticket gained the feature."""
    query = (
        f"SELECT position FROM {rows}_features INDEXED BY {rows}_features_ticket "
        "WHERE feature = ? AND ticket_id = ? AND position <= ? AND gained "
        "ORDER BY position DESC LIMIT 1"
    )
    row = connection.execute(query, (feature, ticket_id, position)).fetchone()
    return int(row[0]) if row else None


def _lead(
    connection: Connection, rows: str, where: TicketFilter, beyond: str
) -> tuple[_Lead, str | None]:
    """The source of the ticket ids, and the last id that a page may examine."""
    leads: list[_Lead] = []
    if where.feature is not None:
        source = f"{rows}_features INDEXED BY {rows}_features_ticket"
        leads.append(_Lead(source, "feature = ?", (where.feature,)))
    if where.org_id is not None:
        source = f"{rows} INDEXED BY {rows}_org_ticket"
        leads.append(_Lead(source, "org_id = ?", (where.org_id,)))
    edges: list[tuple[str, _Lead]] = []
    for lead in leads or [_Lead(f"{rows} INDEXED BY {rows}_ticket", "true", ())]:
        query = (
            f"SELECT ticket_id FROM {lead.source} WHERE {lead.condition} AND ticket_id > ? "
            f"ORDER BY ticket_id, position LIMIT 1 OFFSET {SCAN - 1}"
        )
        edge = connection.execute(query, (*lead.values, beyond)).fetchone()
        if edge is None:
            return lead, None
        edges.append((edge[0], lead))
    last, lead = max(edges, key=lambda candidate: candidate[0])
    return lead, last
