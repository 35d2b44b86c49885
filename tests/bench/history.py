"""A long past, put straight into a log."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from domain.origin import Origin
from domain.ticket.events import (
    Event,
    Recorded,
    TicketCreated,
    TicketFeaturesChanged,
    TicketRenamed,
)
from infrastructure.log import codec
from infrastructure.log.ordered_log import OrderedLog

EVENTS_PER_TICKET: Final = 5

_START: Final = datetime(2025, 1, 1, tzinfo=UTC)
_FEATURES: Final = ("create_shift", "create_supervisor", "create_worker", "get_all", "get_area")
_TOGETHER: Final = 500
_APART: Final = 2_000


def fill(log: OrderedLog, events: int) -> None:
    """Append that many events: waves of 2,000 tickets, each created and then changed four times,
    so that the events of one ticket lie 2,000 apart."""
    batch: list[Recorded] = []
    after = log.head()
    for recorded in _past(events, after):
        batch.append(recorded)
        if len(batch) == _TOGETHER:
            log.commit(after, [codec.encode(one) for one in batch])
            after, batch = batch[-1].position, []
    if batch:
        log.commit(after, [codec.encode(one) for one in batch])


def _past(events: int, after: int) -> Iterator[Recorded]:
    for n in range(events):
        position = after + n + 1
        wave, place = divmod(n, _APART * EVENTS_PER_TICKET)
        version, number = divmod(place, _APART)
        ticket_id = f"{(wave * _APART + number) * 2654435761 % 2**96:024x}"
        moment = _START + timedelta(milliseconds=10 * position)
        event = _event(version, number, moment)
        yield Recorded(position, ticket_id, version + 1, moment, event)


def _event(version: int, number: int, moment: datetime) -> Event:
    origin = Origin(f"user{number % 97}", None, f"request-{number}", None, moment)
    if version == 0:
        org = f"{number % 40:024x}"
        return TicketCreated(origin, org, "workforce_2", f"Crew {number}", _FEATURES)
    if version % 2:
        fewer = _FEATURES[:-1] if version == 1 else _FEATURES
        changed = ("get_area",)
        granted, revoked = ((), changed) if version == 1 else (changed, ())
        return TicketFeaturesChanged(origin, fewer, granted, revoked)
    return TicketRenamed(origin, f"Crew {number} of {version}")
