"""What was true at each position of a log, known from the whole of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from domain.ticket.events import Recorded
from domain.ticket.state import Ticket, evolve
from projections.audit.projection import AuditEntry
from projections.tickets.search import TicketFilter
from tests.support.histories import Histories, entries_of
from tests.support.server import Client

_SNAPSHOT: Final = 1_000
"""Events between two positions whose tickets are kept."""


@dataclass
class Past:
    """The whole log in memory, for the answers that should come."""

    events: list[Recorded]
    entries: list[AuditEntry]

    def __post_init__(self) -> None:
        self._by_ticket: dict[str, list[AuditEntry]] = {}
        for entry in self.entries:
            self._by_ticket.setdefault(entry.ticket_id, []).append(entry)
        self._snapshots: list[dict[str, Ticket]] = [{}]
        for start in range(0, len(self.events), _SNAPSHOT):
            self._snapshots.append(self._folded(self._snapshots[-1], start, start + _SNAPSHOT))

    def position_at(self, moment: datetime) -> int:
        return sum(1 for event in self.events if event.recorded_at <= moment)

    def tickets(self, position: int) -> dict[str, Ticket]:
        number = position // _SNAPSHOT
        return self._folded(self._snapshots[number], number * _SNAPSHOT, position)

    def _folded(self, before: dict[str, Ticket], after: int, upto: int) -> dict[str, Ticket]:
        tickets = dict(before)
        for event in self.events[after:upto]:
            ticket = evolve(tickets.get(event.ticket_id), event)
            if ticket:
                tickets[event.ticket_id] = ticket
        return tickets

    def matching(self, position: int, where: TicketFilter) -> list[Ticket]:
        return [
            ticket
            for _, ticket in sorted(self.tickets(position).items())
            if not ticket.retired
            and where.org_id in (None, ticket.org_id)
            and where.system in (None, ticket.system)
            and where.name in (None, ticket.name)
            and (where.feature is None or where.feature in ticket.features)
        ]

    def grant(self, position: int, ticket_id: str, feature: str | None) -> AuditEntry | None:
        granting = [
            entry
            for entry in self._by_ticket[ticket_id]
            if entry.position <= position and feature in entry.granted
        ]
        return granting[-1] if granting else None


def past(seed: int, count: int, alive: int = 400) -> Past:
    events = list(Histories(seed, alive=alive).events(count))
    return Past(events, list(entries_of(events)))


def pages(client: Client, path: str, **asked: Any) -> Iterator[dict[str, Any]]:
    """The items of all pages."""
    following: str | None = str(client.build_request("GET", path, params=asked or None).url)
    while following:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        yield from answer.json()["items"]
        following = answer.links.get("next", {}).get("url")
