"""The `audit` projection: one structured entry per event."""

from dataclasses import dataclass, replace
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
from projections.running.projection import Projection


@dataclass(frozen=True, slots=True)
class TicketContent:
    """The content of a ticket at one moment. A retired ticket keeps its features but grants
    none."""

    name: str
    features: tuple[str, ...]
    retired: bool


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to which ticket, when and why, and what changed.

    - `position`: identifies the entry.
    - `granted`, `revoked`: the features that the ticket's holders gained and lost. Retiring revokes
      all of them, restoring grants them again.
    - `hash`: the event's hash in the chain over the log (`domain/log/chain.py`), in hexadecimal.
    """

    position: int
    ticket_id: str
    version: int
    org_id: str | None
    system: str | None
    action: str
    actor: str
    reason: str | None
    correlation_id: str
    causation_id: str | None
    occurred_at: datetime
    recorded_at: datetime
    before: TicketContent | None
    after: TicketContent | None
    granted: tuple[str, ...]
    revoked: tuple[str, ...]
    hash: str


def entry_of(previous: AuditEntry | None, recorded: Recorded) -> AuditEntry:
    """The entry for one event, given the ticket's entry before it.

    Raises `ValueError` when the event needs a ticket and there was none: the log is broken there.
    """
    event = recorded.event
    before = previous.after if previous else None
    org_id = previous.org_id if previous else None
    system = previous.system if previous else None
    if isinstance(event, TicketCreated | TicketImported):
        org_id, system = event.org_id, event.system
    elif before is None and not isinstance(event, LegacyRecordQuarantined | LegacyRecordRemoved):
        raise ValueError(f"{event.TOPIC} at position {recorded.position} has no ticket")
    after = _content(before, recorded)
    held, holds = _grants(before), _grants(after)
    return AuditEntry(
        position=recorded.position,
        ticket_id=recorded.ticket_id,
        version=recorded.version,
        org_id=org_id,
        system=system,
        action=event.TOPIC,
        actor=event.origin.actor,
        reason=event.origin.reason,
        correlation_id=event.origin.correlation_id,
        causation_id=event.origin.causation_id,
        occurred_at=event.origin.occurred_at,
        recorded_at=recorded.recorded_at,
        before=before,
        after=after,
        granted=tuple(feature for feature in holds if feature not in held),
        revoked=tuple(feature for feature in held if feature not in holds),
        hash=recorded.hash,
    )


def _content(before: TicketContent | None, recorded: Recorded) -> TicketContent | None:
    event = recorded.event
    match event:
        case TicketCreated() | TicketImported():
            return TicketContent(event.name, event.features, retired=False)
        case TicketRenamed() if before:
            return replace(before, name=event.name)
        case TicketFeaturesChanged() if before:
            return replace(before, features=event.features)
        case TicketRetired() | LegacyRecordRemoved() if before:
            return replace(before, retired=True)
        case TicketRestored() if before:
            return replace(before, retired=False)
        case _:
            return before


def _grants(content: TicketContent | None) -> dict[str, None]:
    """The features in force, as an ordered set."""
    return dict.fromkeys(content.features) if content and not content.retired else {}


AUDIT: Projection[AuditEntry] = Projection("audit", entry_of, every=True)
