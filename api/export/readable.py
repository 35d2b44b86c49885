"""Audit entries as a table for people: chosen columns, and no JSON in any cell.

It proves nothing: the export (`api/export/export.py`) does.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from api.export.cells import plain, row, title
from api.wire.fields import iso
from projections.audit.projection import AuditEntry, TicketContent

Column = Callable[[AuditEntry], object]


def _of(content: TicketContent | None, name: str) -> object:
    return getattr(content, name) if content else None


COLUMNS: Final[Mapping[str, Column]] = {
    "position": lambda entry: entry.position,
    "recordedAt": lambda entry: iso(entry.recorded_at),
    "occurredAt": lambda entry: iso(entry.occurred_at),
    "actor": lambda entry: entry.actor,
    "action": lambda entry: entry.action,
    "ticketId": lambda entry: entry.ticket_id,
    "version": lambda entry: entry.version,
    "orgId": lambda entry: entry.org_id,
    "system": lambda entry: entry.system,
    "name": lambda entry: _of(entry.after, "name"),
    "nameBefore": lambda entry: _of(entry.before, "name"),
    "features": lambda entry: _of(entry.after, "features"),
    "featuresBefore": lambda entry: _of(entry.before, "features"),
    "retired": lambda entry: _of(entry.after, "retired"),
    "granted": lambda entry: entry.granted,
    "revoked": lambda entry: entry.revoked,
    "reason": lambda entry: entry.reason,
    "correlationId": lambda entry: entry.correlation_id,
    "causationId": lambda entry: entry.causation_id,
    "hash": lambda entry: entry.hash,
}
"""What a column shows of an entry. A list is written with blanks between its names."""

USUAL: Final = (
    *("position", "recordedAt", "actor", "action", "ticketId", "name", "orgId", "system"),
    *("granted", "revoked", "reason"),
)
"""The columns, unless others are chosen."""


def readable_csv(entries: Iterable[AuditEntry], columns: Sequence[str]) -> Iterator[bytes]:
    """A line of column names, and one for each entry. Raises `KeyError` for a column that there is
    not."""
    shown = [COLUMNS[name] for name in columns]
    yield title(columns)
    for entry in entries:
        yield row([_cell(column(entry)) for column in shown])


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain(" ".join(value) if isinstance(value, tuple) else str(value))
