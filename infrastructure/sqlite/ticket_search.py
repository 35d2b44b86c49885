"""Looking through tickets on SQLite, at a cost that does not grow with their number.

The organisation leads, or all tickets for platform staff: an index gives tickets in order of their
ids, and each is tested against the other conditions. A page ends at the `SCAN`th.
"""

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from projections.tickets.search import SCAN, TicketSearch


def rows_of(
    connection: Connection,
    table: str,
    columns: str,
    search: TicketSearch,
    after_id: str | None,
    limit: int,
) -> tuple[Sequence[Any], str | None]:
    """The first matching rows `t`, at most `limit`; and the last id that a page may examine, or
    None if it may examine all."""
    where, begin = search.where, after_id or ""
    state = "t.retired" if search.retired else "NOT t.retired"
    lead, values = "t.id > ?", [begin]
    if where.org_id is not None:
        lead, values = f"t.org_id = ? AND {lead} AND {state}", [where.org_id, begin]
    edge = connection.execute(
        f"SELECT t.id FROM {table} t WHERE {lead} ORDER BY t.id LIMIT 1 OFFSET {SCAN - 1}", values
    ).fetchone()
    # the unary plus keeps the planner from taking another index, whose matches nothing bounds
    tests = {
        "t.id <= ?": edge and edge[0],
        "+t.system = ?": where.system,
        "+t.name = ?": where.name,
        "EXISTS (SELECT 1 FROM json_each(t.features) f WHERE f.value = ?)": where.feature,
        "instr(casefold(t.name), ?) > 0": search.name_contains and search.name_contains.casefold(),
    }
    matches = {test: value for test, value in tests.items() if value is not None}
    rows = connection.execute(
        f"SELECT {columns} FROM {table} t WHERE {' AND '.join([lead, state, *matches])} "
        "ORDER BY t.id LIMIT ?",
        [*values, *matches.values(), limit],
    ).fetchall()
    return rows, edge and edge[0]
