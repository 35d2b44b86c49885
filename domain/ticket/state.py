"""The state of one ticket, folded from its events."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from domain.ticket.events import (
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
from domain.value import value


@value
class Ticket:
    """A ticket after its event number `version`, which is at `position` in the log.

    `revision` is the mongoose `__v` that readers of the old collection expect: 0, or the value of
    the imported record.
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

    It never refuses: the rules are in the handlers (`domain/ticket/handlers.py`), so a stricter
    rule cannot make an old ticket unreadable. An event that has no ticket to change gives None.
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
            return ticket and replace(ticket, version=recorded.version, position=recorded.position)
        case TicketRenamed() if ticket:
            return _changed(ticket, recorded, ticket.features, ticket.retired, event.name)
        case TicketFeaturesChanged() if ticket:
            return _changed(ticket, recorded, event.features, ticket.retired, ticket.name)
        case TicketRetired() | LegacyRecordRemoved() if ticket:
            return _changed(ticket, recorded, ticket.features, True, ticket.name)
        case TicketRestored() if ticket:
            return _changed(ticket, recorded, ticket.features, False, ticket.name)
        case TicketRenamed() | TicketFeaturesChanged() | TicketRetired() | TicketRestored():
            return None
        case LegacyRecordRemoved():
            return None


def fold(history: Iterable[Recorded]) -> Ticket | None:
    """The ticket after a stream of events, oldest first; None if they make none."""
    ticket: Ticket | None = None
    for recorded in history:
        ticket = evolve(ticket, recorded)
    return ticket


def _changed(
    ticket: Ticket, recorded: Recorded, features: tuple[str, ...], retired: bool, name: str
) -> Ticket:
    """Not `replace`, which takes several times as long: rebuilding folds every event there is."""
    return Ticket(
        id=ticket.id,
        org_id=ticket.org_id,
        system=ticket.system,
        name=name,
        features=features,
        created_at=ticket.created_at,
        updated_at=recorded.event.origin.occurred_at,
        retired=retired,
        revision=ticket.revision,
        version=recorded.version,
        position=recorded.position,
    )
