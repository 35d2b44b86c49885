"""The `tickets` projection: each ticket as it is now."""

from domain.ticket.state import Ticket, evolve
from projections.running.projection import Projection

TICKETS: Projection[Ticket] = Projection("tickets", evolve, every=False)
