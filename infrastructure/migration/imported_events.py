"""The events that took records over, in the log."""

from collections.abc import Iterator, Sequence
from typing import Final

from domain.log.ports import EventLog
from domain.ticket.events import Event, LegacyRecordQuarantined, Recorded, TicketImported
from domain.ticket.stream import is_change

_EVENTS: Final = 1_000
"""Events that are read together."""


def every_event(log: EventLog) -> Iterator[Recorded]:
    """All events in their order. Raises `EventUnreadable`."""
    position = 0
    while events := log.read(position, _EVENTS):
        yield from events
        position = events[-1].position


def took_over(recorded: Recorded, collection: str, system: str | None = None) -> bool:
    """Whether the event took a record of the collection over: as a ticket of the system, or of any
    when that is None; or into quarantine, where records are of no system."""
    event = recorded.event
    if isinstance(event, TicketImported) and system not in (None, event.system):
        return False
    if isinstance(event, TicketImported | LegacyRecordQuarantined):
        return event.source.collection == collection
    return False


def is_completed(last: Event | None, digest: str, history: Sequence[Recorded]) -> bool:
    """Whether a record that can be no ticket was taken over all the same, as `last`, with a change
    made here that makes it one."""
    is_taken = isinstance(last, TicketImported) and last.source.digest == digest
    return is_taken and is_change(history[-1].event)


def first_change(log: EventLog, collection: str) -> Recorded | None:
    """The first change that was made here, to whatever ticket, since the first record of the
    collection was taken over; None when there is none."""
    began = False
    for recorded in every_event(log):
        if began and is_change(recorded.event):
            return recorded
        began = began or took_over(recorded, collection)
    return None
