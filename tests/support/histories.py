"""The lives of many tickets: a log as long as wanted, the same for the same seed."""

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
class _Life:
    ticket_id: str
    org_id: str
    ticket: Ticket | None = None
    version: int = 0


@dataclass
class Lives:
    """`orgs` organisations, the first with half of all tickets, the next with half of the rest…;
    likewise `actors`. A moment passes now and then, so that many events share one."""

    seed: int
    orgs: int = 6
    actors: int = 20
    alive: int = 400
    _lives: list[_Life] = field(default_factory=list)
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
            life = self._life()
            life.version += 1
            event = self._event(life, self._origin(moment))
            recorded = Recorded(position, life.ticket_id, life.version, moment, event)
            life.ticket = evolve(life.ticket, recorded)
            yield recorded

    def _life(self) -> _Life:
        if (len(self._lives) < self.alive and self._random.random() < 0.2) or not self._lives:
            self._made += 1
            # ids in no order of time
            ticket_id = f"{self._made * 0x9E3779B97F4A7C15 % 2**64:024x}"
            self._lives.append(_Life(ticket_id, self.org(self._skewed(self.orgs))))
            return self._lives[-1]
        number = self._random.randrange(len(self._lives))
        life = self._lives[number]
        if life.version >= _GONE_AFTER:
            self._lives[number] = self._lives[-1]
            self._lives.pop()
        return life

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

    def _event(self, life: _Life, origin: Origin) -> Event:
        random, ticket = self._random, life.ticket
        source = SourceRecord("ticket_1", "ab" * 32, random.randrange(9))
        chosen = tuple(random.sample(FEATURES, random.randrange(5)))
        name = random.choice(NAMES)
        system = SYSTEMS[int(life.ticket_id, 16) % len(SYSTEMS)]
        if ticket is None:
            match random.randrange(10):
                case 0 if life.version == 1:
                    return LegacyRecordQuarantined(origin, source, "no name", "{}")
                case 1 | 2:
                    born = origin.occurred_at - timedelta(days=1)
                    return TicketImported(
                        origin, life.org_id, system, name, chosen, born, born, source, (), ()
                    )
            return TicketCreated(origin, life.org_id, system, name, chosen)
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
