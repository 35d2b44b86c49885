"""Finding tickets in the `tickets` view."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.ticket.state import Ticket


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """The tickets with these values; None matches any. Only for platform staff is `org_id` None."""

    org_id: str | None
    system: str | None = None
    name: str | None = None
    feature: str | None = None


class TicketReader(Protocol):
    """Reads the `tickets` view."""

    def get(self, ticket_id: str) -> Ticket | None:
        """The ticket, retired or not; None if there is no such ticket."""

    def find(self, where: TicketFilter, after_id: str | None, limit: int) -> Sequence[Ticket]:
        """At most `limit` tickets in use (not retired), by id, with ids above `after_id`."""
