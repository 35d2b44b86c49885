"""The `tickets` projection: what each ticket holds now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.ticket.state import Ticket, evolve
from projections.running.projection import Projection

TICKETS: Projection[Ticket] = Projection("tickets", evolve, every=False)


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """Which tickets; None means any. `org_id` None is for platform staff alone."""

    org_id: str | None
    system: str | None = None
    name: str | None = None
    feature: str | None = None


class TicketReader(Protocol):
    """Questions to the `tickets` view."""

    def get(self, ticket_id: str) -> Ticket | None:
        """The ticket, retired or not."""

    def find(self, where: TicketFilter, after_id: str | None, limit: int) -> Sequence[Ticket]:
        """Tickets in use (not retired) by id, from the first id above `after_id`."""
