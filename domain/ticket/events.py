"""The events of a ticket, on one page.

An event is a fact: in the past tense, never refused, never edited. `TOPIC` is its stored name, for
ever: classes may be renamed, topics may not. Field names are stored names too: a change of shape
needs a new shape number and an upcaster (`infrastructure/log/codec.py`).
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final

from domain.origin import Origin
from domain.value import value


@dataclass(frozen=True, slots=True)
class TicketCreated:
    """An organisation got a new ticket for one system."""

    TOPIC: ClassVar[str] = "ticket.created"
    origin: Origin
    org_id: str
    system: str
    name: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """The legacy document an import came from.

    `digest` is the SHA-256 (hex) of its BSON bytes; `revision` is its mongoose `__v`.
    """

    collection: str
    digest: str
    revision: int


@dataclass(frozen=True, slots=True)
class TicketImported:
    """A legacy record became, or replaced the content of, this ticket.

    - `repairs`: the corrections that were made to the record.
    - `unknown_features`: feature names that no system has. They are kept on record and grant
      nothing.
    """

    TOPIC: ClassVar[str] = "ticket.imported"
    origin: Origin
    org_id: str
    system: str
    name: str
    features: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    source: SourceRecord
    repairs: tuple[str, ...]
    unknown_features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TicketRenamed:
    TOPIC: ClassVar[str] = "ticket.renamed"
    origin: Origin
    name: str


@dataclass(frozen=True, slots=True)
class TicketFeaturesChanged:
    """The ticket now has the features `features`; `granted` and `revoked` are the difference."""

    TOPIC: ClassVar[str] = "ticket.features_changed"
    origin: Origin
    features: tuple[str, ...]
    granted: tuple[str, ...]
    revoked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TicketRetired:
    """The ticket grants nothing any more; its history stays and it can be restored."""

    TOPIC: ClassVar[str] = "ticket.retired"
    origin: Origin


@dataclass(frozen=True, slots=True)
class TicketRestored:
    TOPIC: ClassVar[str] = "ticket.restored"
    origin: Origin


@dataclass(frozen=True, slots=True)
class LegacyRecordQuarantined:
    """A legacy record that has no safe meaning as a ticket. `record` is its extended JSON."""

    TOPIC: ClassVar[str] = "legacy_record.quarantined"
    origin: Origin
    source: SourceRecord
    reason: str
    record: str


@dataclass(frozen=True, slots=True)
class LegacyRecordRemoved:
    """A record is gone from `collection` of the old system; its ticket retires with it."""

    TOPIC: ClassVar[str] = "legacy_record.removed"
    origin: Origin
    collection: str


Event = (
    TicketCreated
    | TicketImported
    | TicketRenamed
    | TicketFeaturesChanged
    | TicketRetired
    | TicketRestored
    | LegacyRecordQuarantined
    | LegacyRecordRemoved
)

EVENT_TYPES: Final[tuple[type[Event], ...]] = (
    TicketCreated,
    TicketImported,
    TicketRenamed,
    TicketFeaturesChanged,
    TicketRetired,
    TicketRestored,
    LegacyRecordQuarantined,
    LegacyRecordRemoved,
)


@value
class Recorded:
    """An event in its place in the log.

    - `position`: its number in the log, 1, 2, 3 … without gaps.
    - `version`: its number in the ticket's own stream, 1, 2, 3 … without gaps.
    - `recorded_at`: when it was committed; never earlier than the event before it.
    - `hash`: its hash in the chain over the log (`domain/log/chain.py`), in hexadecimal; empty for
      an event that is not stored yet.
    """

    position: int
    ticket_id: str
    version: int
    recorded_at: datetime
    event: Event
    hash: str = field(default="", compare=False)
