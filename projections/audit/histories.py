"""The histories of tickets between two positions, in the order of their first entries there."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from projections.audit.as_of import PastReader
from projections.audit.projection import AuditEntry
from projections.audit.search import AuditFilter, AuditReader

LOOKED_AT: Final = 1_000
"""Most entries whose tickets one scan examines."""

_READ: Final = 20_000
"""Most entries of histories that one scan reads before it stops."""

_PAGE: Final = 500
"""Entries that are searched at once."""

_TICKETS_AT_ONCE: Final = 20
"""Tickets whose histories are read, and in memory, together."""

TicketHistory = Sequence[AuditEntry]
"""The entries of one ticket in a range of the log, oldest first."""


class Reader(AuditReader, PastReader, Protocol):
    """The `audit` view: searches, and questions about the past."""


def histories(
    reader: PastReader, ticket_ids: Collection[str], after: int, upto: int
) -> Mapping[str, TicketHistory]:
    """The entries of these tickets at positions above `after`, up to `upto`, by ticket id."""
    entries_by_ticket: dict[str, list[AuditEntry]] = {}
    for entry in reader.between(ticket_ids, after, upto):
        entries_by_ticket.setdefault(entry.ticket_id, []).append(entry)
    return entries_by_ticket


class TicketScan:
    """Iterates over the tickets with an entry that `where` matches, in the order of those entries:
    (entry, history of the ticket between `after` and `upto`), each ticket once.

    `concerned` says which entries of a history count. A ticket is left out when its first such
    entry is not the matching one: an earlier scan has given that ticket.

    A scan examines a bounded number of entries and may end early. `beyond` is the position after
    which the next scan goes on, at any time; None when there is no more.
    """

    def __init__(
        self,
        reader: Reader,
        where: AuditFilter,
        after: int,
        upto: int,
        *,
        beyond: int | None,
        concerned: Callable[[AuditEntry], bool],
    ) -> None:
        self.beyond = beyond
        self._reader = reader
        self._between = replace(where, since_position=after + 1, before_position=upto + 1)
        self._after, self._upto = after, upto
        self._concerned = concerned
        self._read = 0

    def __iter__(self) -> Iterator[tuple[AuditEntry, TicketHistory]]:
        seen: set[str] = set()
        looked_at = 0
        while looked_at < LOOKED_AT and self._read < _READ:
            page = self._reader.page(
                self._between, beyond=self.beyond, limit=_PAGE, newest_first=False
            )
            looked_at += max(len(page.entries), 1)
            new_tickets: list[AuditEntry] = []
            for entry in page.entries:
                if entry.ticket_id not in seen:
                    seen.add(entry.ticket_id)
                    new_tickets.append(entry)
            for start in range(0, len(new_tickets), _TICKETS_AT_ONCE):
                if self._read >= _READ:
                    return
                yield from self._among(new_tickets[start : start + _TICKETS_AT_ONCE])
            self.beyond = page.beyond
            if self.beyond is None:
                return

    def _among(self, entries: Sequence[AuditEntry]) -> Iterator[tuple[AuditEntry, TicketHistory]]:
        ids = [entry.ticket_id for entry in entries]
        entries_by_ticket = histories(self._reader, ids, self._after, self._upto)
        self._read += sum(map(len, entries_by_ticket.values()))
        for entry in entries:
            self.beyond = entry.position if entry.position < self._upto else None
            history = entries_by_ticket[entry.ticket_id]
            first = next(candidate for candidate in history if self._concerned(candidate))
            if first.position == entry.position:
                yield entry, history
