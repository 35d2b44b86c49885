"""Finding tickets in the `tickets` view."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from domain.ticket.state import Ticket

SCAN: Final = 10_000
"""Most tickets that one page of a search examines: its cost does not grow with their number."""


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """The tickets with these values; None matches any. Only for platform staff is `org_id` None."""

    org_id: str | None
    system: str | None = None
    name: str | None = None
    feature: str | None = None


@dataclass(frozen=True, slots=True)
class TicketSearch:
    """The tickets of `where`, narrowed by conditions that no index answers.

    - `retired`: the retired tickets instead of those in use.
    - `name_contains`: part of the name, in upper or lower case.
    """

    where: TicketFilter
    retired: bool = False
    name_contains: str | None = None


@dataclass(frozen=True, slots=True)
class TicketPage:
    """A page of tickets. `beyond` is the id after which the search goes on; None at its end. A
    page ends after examining `SCAN` tickets, and may then be short or empty."""

    tickets: Sequence[Ticket]
    beyond: str | None


def page_of(tickets: Sequence[Ticket], edge: str | None, limit: int) -> TicketPage:
    """The page of at most `limit` tickets, of which one more may be there. `edge` is the id at
    which the search ended, None if it examined all."""
    if len(tickets) > limit:
        return TicketPage(tickets[:limit], tickets[limit - 1].id)
    return TicketPage(tickets, edge)


class TicketReader(Protocol):
    """Reads the `tickets` view."""

    def get(self, ticket_id: str) -> Ticket | None:
        """The ticket, retired or not; None if there is no such ticket."""

    def find(self, where: TicketFilter, after_id: str | None, limit: int) -> Sequence[Ticket]:
        """At most `limit` tickets in use (not retired), by id, with ids above `after_id`."""

    def search(self, search: TicketSearch, after_id: str | None, limit: int) -> TicketPage:
        """At most `limit` tickets by id, with ids above `after_id`. Examines `SCAN` tickets of the
        organisation at most (of all, retired or not, where there is none)."""
