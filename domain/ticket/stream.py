"""The end of one stream of events: all that a decision about the next command needs."""

from collections.abc import Iterable
from typing import Final

from domain.ticket.events import (
    Event,
    LegacyRecordQuarantined,
    LegacyRecordRemoved,
    Recorded,
    TicketImported,
)
from domain.ticket.state import Ticket, evolve
from domain.value import value

FROM_RECORDS: Final = (TicketImported, LegacyRecordQuarantined, LegacyRecordRemoved)
"""Events that repeat a change of the old system. Every other event is a change made here."""


@value
class Stream:
    """The end of a stream.

    - `ticket`: None if no event made one (a record in quarantine has a stream but no ticket).
    - `record`: the digest of the legacy record that was taken over last; None if there was none, or
      if it is gone from its source.
    - `quarantined`: True if that record is in quarantine.
    - `changed_here`: True if the ticket was changed here since a record last became its content.
    """

    ticket: Ticket | None = None
    version: int = 0
    position: int = 0
    record: str | None = None
    quarantined: bool = False
    changed_here: bool = False

    def holds(self, digest: str) -> bool:
        """True if the record with that digest was taken over last, and is the ticket's content."""
        return self.record == digest and not self.quarantined

    def after(self, recorded: Recorded) -> "Stream":
        """The end of the stream after one more event."""
        ticket = evolve(self.ticket, recorded)
        version, position = recorded.version, recorded.position
        match recorded.event:
            case TicketImported(source=source):
                return Stream(ticket, version, position, source.digest)
            case LegacyRecordQuarantined(source=source):
                record = source.digest
                return Stream(ticket, version, position, record, True, self.changed_here)
            case LegacyRecordRemoved():
                return Stream(ticket, version, position, None, False, self.changed_here)
            case _:
                return Stream(ticket, version, position, self.record, self.quarantined, True)


UNBEGUN: Final = Stream()
"""The end of a stream without events."""


def stream_of(history: Iterable[Recorded]) -> Stream:
    """The end of a stream of events, oldest first."""
    stream = UNBEGUN
    for recorded in history:
        stream = stream.after(recorded)
    return stream


def is_change(event: Event) -> bool:
    """True if the event is a change made here, not one repeated from the old system."""
    return not isinstance(event, FROM_RECORDS)
