"""The state of one ticket, folded from its events."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from domain.events import (
    LegacyRecordQuarantined,
    LegacyRecordRemoved,
    Recorded,
    TicketCreated,
    TicketFeaturesChanged,
    TicketImported,
    TicketRenamed,
    TicketRestored,
    TicketRetired,
)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket holds after its event number `version`, which stands at `position` in the log.

    `revision` is the mongoose `__v` that readers of the old collection expect: 0, or what the
    imported record had.
    """

    id: str
    org_id: str
    system: str
    name: str
    features: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    retired: bool
    revision: int
    version: int
    position: int


def evolve(ticket: Ticket | None, recorded: Recorded) -> Ticket | None:
    """The ticket after one more event.

    Total and never refusing: rules live in the handlers (`domain/handlers.py`), so tightening one
    can not make an old ticket unreadable. An event that has no ticket to change leaves None.
    """
    event = recorded.event
    match event:
        case TicketCreated():
            return Ticket(
                id=recorded.ticket_id,
                org_id=event.org_id,
                system=event.system,
                name=event.name,
                features=event.features,
                created_at=event.origin.occurred_at,
                updated_at=event.origin.occurred_at,
                retired=False,
                revision=0,
                version=recorded.version,
                position=recorded.position,
            )
        case TicketImported():
            return Ticket(
                id=recorded.ticket_id,
                org_id=event.org_id,
                system=event.system,
                name=event.name,
                features=event.features,
                created_at=event.created_at,
                updated_at=event.updated_at,
                retired=False,
                revision=event.source.revision,
                version=recorded.version,
                position=recorded.position,
            )
        case LegacyRecordQuarantined():
            return ticket and _at(ticket, recorded)
        case TicketRenamed() if ticket:
            return replace(_touched(ticket, recorded), name=event.name)
        case TicketFeaturesChanged() if ticket:
            return replace(_touched(ticket, recorded), features=event.features)
        case TicketRetired() | LegacyRecordRemoved() if ticket:
            return replace(_touched(ticket, recorded), retired=True)
        case TicketRestored() if ticket:
            return replace(_touched(ticket, recorded), retired=False)
        case TicketRenamed() | TicketFeaturesChanged() | TicketRetired() | TicketRestored():
            return None
        case LegacyRecordRemoved():
            return None


def fold(history: Iterable[Recorded]) -> Ticket | None:
    """The ticket that a stream of events, oldest first, adds up to."""
    ticket: Ticket | None = None
    for recorded in history:
        ticket = evolve(ticket, recorded)
    return ticket


def _at(ticket: Ticket, recorded: Recorded) -> Ticket:
    return replace(ticket, version=recorded.version, position=recorded.position)


def _touched(ticket: Ticket, recorded: Recorded) -> Ticket:
    return replace(_at(ticket, recorded), updated_at=recorded.event.origin.occurred_at)
