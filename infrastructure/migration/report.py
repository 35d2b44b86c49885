"""`report`: the repairs that a migration made, and the features that it left out, as the log has
them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from domain.log.ports import EventLog
from domain.ticket.events import LegacyRecordQuarantined, TicketImported
from infrastructure.migration.imported_events import every_event


@dataclass(frozen=True, slots=True)
class RepairedTicket:
    """A ticket whose record was repaired, or listed features that its system does not have.
    `position` is that of the import that made it what it is."""

    ticket: str
    name: str
    position: int
    repairs: Sequence[str]
    unknown_features: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        return {
            "ticketId": self.ticket,
            "name": self.name,
            "position": self.position,
            "repairs": self.repairs,
            "unknownFeatures": self.unknown_features,
        }


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """How many tickets were imported, how many of them exactly as their records stood, the repaired
    ones in the order of the log, and why records went to quarantine."""

    imported: int
    repaired: Sequence[RepairedTicket]
    quarantined: Counter[str]

    @property
    def repairs(self) -> Counter[str]:
        """How many tickets have each repair."""
        return Counter(repair for ticket in self.repaired for repair in ticket.repairs)

    @property
    def unknown_features(self) -> Counter[str]:
        """From how many tickets each feature was left out."""
        return Counter(name for ticket in self.repaired for name in ticket.unknown_features)


def report(log: EventLog, ticket: str | None = None) -> MigrationReport:
    """The report of all tickets, or of one. The last event that took a record over counts, of each.
    Raises `EventUnreadable`, `StoreUnavailable`."""
    imported = set[str]()
    repaired: dict[str, RepairedTicket] = {}
    quarantined: dict[str, str] = {}
    for recorded in every_event(log):
        event, name = recorded.event, recorded.ticket_id
        if ticket not in (None, name):
            continue
        if isinstance(event, LegacyRecordQuarantined):
            quarantined[name] = event.reason
        elif isinstance(event, TicketImported):
            imported.add(name)
            quarantined.pop(name, None)
            repaired.pop(name, None)
            if event.repairs or event.unknown_features:
                repaired[name] = RepairedTicket(
                    name, event.name, recorded.position, event.repairs, event.unknown_features
                )
    return MigrationReport(len(imported), list(repaired.values()), Counter(quarantined.values()))
