"""What was true at some position of the log: which tickets were in use, and who granted what."""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from domain.errors import EventUnreadable
from domain.ticket.events import Recorded
from domain.ticket.state import Ticket, fold
from projections.audit.projection import AuditEntry
from projections.tickets.search import TicketFilter

SCAN: Final = 3_000
"""Most entries whose tickets one page looks at. Each ticket costs as much as several entries of a
search do."""


@dataclass(frozen=True, slots=True)
class Then:
    """A ticket in use at some position: its last entry up to there, and, when the question named
    a feature, the entry that granted it last."""

    entry: AuditEntry
    granted_by: AuditEntry | None


def ticket_at(entry: AuditEntry, history: Sequence[Recorded | EventUnreadable]) -> Ticket:
    """The ticket at its audit entry, given all that the log holds of it.

    The entry says what the ticket held; the log alone says since when there was one. So an event
    that an operator had the view pass over, or that cannot be read any more, hides no other
    ticket. Raises `EventUnreadable` when it is the one that made the ticket.
    """
    readable = [
        event
        for event in history
        if isinstance(event, Recorded) and event.position <= entry.position
    ]
    ticket = fold(readable)
    if ticket is None:
        raise next(event for event in history if isinstance(event, EventUnreadable))
    if ticket.position != entry.position:  # the entry's own event cannot be read
        ticket = replace(ticket, updated_at=entry.occurred_at)
    held = entry.after
    assert held is not None  # there was a ticket
    return replace(
        ticket,
        name=held.name,
        features=held.features,
        retired=held.retired,
        version=entry.version,
        position=entry.position,
    )


@dataclass(frozen=True, slots=True)
class ThenPage:
    """`beyond` is the ticket id past which the search goes on; None when it is at its end. A page
    that has looked at `SCAN` entries ends there, with what it has: maybe nothing."""

    tickets: Sequence[Then]
    beyond: str | None


class PastReader(Protocol):
    """Questions about the past to the `audit` view, which must stand at the position asked for."""

    @abstractmethod
    def position_at(self, moment: datetime) -> int | None:
        """Where the log stood at a moment: the last position recorded then or before. None when
        the view holds nothing that was recorded later, so that more may yet come."""

    @abstractmethod
    def tickets_at(
        self, position: int, where: TicketFilter, *, beyond: str | None, limit: int
    ) -> ThenPage:
        """The tickets that were in use and matched at `position`, by id, past the id `beyond`."""

    @abstractmethod
    def between(self, ticket_ids: Collection[str], after: int, upto: int) -> Sequence[AuditEntry]:
        """The entries of these tickets at positions above `after`, up to `upto`, in order."""
