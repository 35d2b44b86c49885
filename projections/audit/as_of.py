"""The past: the tickets in use at some position of the log, and who had granted a feature to
them."""

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
"""Most entries whose tickets one page examines. A ticket here costs as much as several entries of a
search."""


@dataclass(frozen=True, slots=True)
class Then:
    """A ticket in use at some position: its last entry up to there, and the last entry that granted
    the feature in question. `granted_by` is None when the question names no feature."""

    entry: AuditEntry
    granted_by: AuditEntry | None


def ticket_at(entry: AuditEntry, history: Sequence[Recorded | EventUnreadable]) -> Ticket:
    """The ticket at its audit entry, given its whole history.

    Name, features and version come from the entry; owner and creation come from the log. So an
    event that the view skips, or that cannot be read any more, hides no other ticket. Raises
    `EventUnreadable` when that event created the ticket.
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
    """A page of tickets. `beyond` is the ticket id after which the search goes on; None at its end.
    A page ends after examining `SCAN` entries, and may then be short or empty."""

    tickets: Sequence[Then]
    beyond: str | None


class PastReader(Protocol):
    """Questions about the past to the `audit` view. Its checkpoint must have reached the position
    in question."""

    @abstractmethod
    def position_at(self, moment: datetime) -> int | None:
        """The last position that was recorded at a moment or before. None when the view holds no
        later entry, so that more may yet come."""

    @abstractmethod
    def tickets_at(
        self, position: int, where: TicketFilter, *, beyond: str | None, limit: int
    ) -> ThenPage:
        """At most `limit` tickets in use at `position` that matched then, by id, after the id
        `beyond`."""

    @abstractmethod
    def between(self, ticket_ids: Collection[str], after: int, upto: int) -> Sequence[AuditEntry]:
        """The entries of these tickets at positions above `after`, up to `upto`, in order."""
