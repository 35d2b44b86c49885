"""The histories of many tickets: a log as long as wanted, the same for the same seed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from domain.origin import Origin
from domain.ticket.events import (
    Event,
    LegacyRecordQuarantined,
    LegacyRecordRemoved,
    Recorded,
    SourceRecord,
    TicketCreated,
    TicketFeaturesChanged,
    TicketImported,
    TicketRenamed,
    TicketRestored,
    TicketRetired,
)
from domain.ticket.state import Ticket, evolve
from projections.audit.projection import AuditEntry, entry_of
from tests.support.view_rows import START

SYSTEMS: Final = ("workforce_2", "donear_3", "system_2")
FEATURES: Final = tuple(f"feature_{number}" for number in range(12))
NAMES: Final = ("Foreman", "Night shift", "Viewer", "Crew ß")
REASONS: Final = (None, None, "New crew", "audit of MAY", "50% off_(a.b)", "Straße gesperrt", "$x")
_GONE_AFTER: Final = 40
"""Events after which a ticket is left alone, so that new ones keep coming."""


@dataclass
class _History:
    ticket_id: str
    org_id: str
    ticket: Ticket | None = None
    version: int = 0


@dataclass
class Histories:
    """`orgs` organisations, the first with half of all tickets, the next with half of the rest…;
    likewise `actors`. A moment passes now and then, so that many events share one."""

    seed: int
    orgs: int = 6
    actors: int = 20
    alive: int = 400
    _current: list[_History] = field(default_factory=list)
    _made: int = 0

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def org(self, number: int) -> str:
        return f"{number + 1:024x}"

    def events(self, count: int) -> Iterator[Recorded]:
        """Events 1 to `count`."""
        moment = START
        for position in range(1, count + 1):
            if self._random.random() < 0.6:
                moment += timedelta(milliseconds=self._random.randrange(1, 2_000))
            history = self._next()
            history.version += 1
            event = self._event(history, self._origin(moment))
            recorded = Recorded(position, history.ticket_id, history.version, moment, event)
            history.ticket = evolve(history.ticket, recorded)
            yield recorded

    def _next(self) -> _History:
        if (len(self._current) < self.alive and self._random.random() < 0.2) or not self._current:
            self._made += 1
            # ids in no order of time
            ticket_id = f"{self._made * 0x9E3779B97F4A7C15 % 2**64:024x}"
            self._current.append(_History(ticket_id, self.org(self._skewed(self.orgs))))
            return self._current[-1]
        number = self._random.randrange(len(self._current))
        history = self._current[number]
        if history.version >= _GONE_AFTER:
            self._current[number] = self._current[-1]
            self._current.pop()
        return history

    def _skewed(self, count: int) -> int:
        number = 0
        while number < count - 1 and self._random.random() < 0.5:
            number += 1
        return number

    def _origin(self, moment: datetime) -> Origin:
        return Origin(
            actor=f"actor-{self._skewed(self.actors)}",
            reason=self._random.choice(REASONS),
            correlation_id=f"request-{self._random.randrange(1 + self._made * 3)}",
            causation_id=None,
            occurred_at=moment - timedelta(milliseconds=self._random.randrange(50)),
        )

    def _event(self, history: _History, origin: Origin) -> Event:
        random, ticket = self._random, history.ticket
        source = SourceRecord("ticket_1", "ab" * 32, random.randrange(9))
        chosen = tuple(random.sample(FEATURES, random.randrange(5)))
        name = random.choice(NAMES)
        system = SYSTEMS[int(history.ticket_id, 16) % len(SYSTEMS)]
        if ticket is None:
            match random.randrange(10):
                case 0 if history.version == 1:
                    return LegacyRecordQuarantined(origin, source, "no name", "{}")
                case 1 | 2:
                    born = origin.occurred_at - timedelta(days=1)
                    return TicketImported(
                        origin, history.org_id, system, name, chosen, born, born, source, (), ()
                    )
            return TicketCreated(origin, history.org_id, system, name, chosen)
        if ticket.retired:
            return TicketRestored(origin)
        match random.randrange(8):
            case 0:
                return TicketRetired(origin)
            case 1 | 2:
                return TicketRenamed(origin, name)
            case 3 if random.random() < 0.2:
                return LegacyRecordRemoved(origin, "ticket_1")
        held = ticket.features
        return TicketFeaturesChanged(
            origin,
            chosen,
            tuple(one for one in chosen if one not in held),
            tuple(one for one in held if one not in chosen),
        )


def entries_of(events: Iterable[Recorded]) -> Iterator[AuditEntry]:
    """The audit entries of a log that is read from its beginning."""
    latest: dict[str, AuditEntry] = {}
    for recorded in events:
        entry = entry_of(latest.get(recorded.ticket_id), recorded)
        latest[recorded.ticket_id] = entry
        yield entry
