"""What became of records, or would: counted by kind."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from domain.ticket.events import Event, LegacyRecordQuarantined, LegacyRecordRemoved, TicketImported
from infrastructure.migration.system_match import SystemMatch

_NAMED: Final = 100
"""Most names in one count: a dirty record may hold any text, and a million may hold as many."""

_LONGEST: Final = 50


@dataclass(slots=True)
class Tally:
    """`records` were read. Of these `clean` and `repaired` were imported, `quarantined` (by reason)
    were kept aside, and `already` changed nothing, because they were taken over before.

    `repairs` and `unknown_features` say which, and how often; `removed` counts records that were
    taken over once and are gone from the source; `fit` says whether they are of the right system.
    """

    fit: SystemMatch
    records: int = 0
    clean: int = 0
    repaired: int = 0
    already: int = 0
    removed: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    unknown_features: Counter[str] = field(default_factory=Counter)

    def add(self, events: Sequence[Event | None]) -> None:
        """So many records more, each of which led to that event, or to none."""
        self.records += len(events)
        self.fit.add(events)
        for event in events:
            self._add(event)

    def _add(self, event: Event | None) -> None:
        match event:
            case TicketImported(repairs=repairs, unknown_features=unknown):
                if repairs or unknown:
                    self.repaired += 1
                else:
                    self.clean += 1
                for repair in repairs:
                    _count(self.repairs, repair)
                for feature in unknown:
                    _count(self.unknown_features, feature)
            case LegacyRecordQuarantined(reason=reason):
                _count(self.quarantined, reason)
            case LegacyRecordRemoved():
                self.removed += 1
            case _:
                self.already += 1

    @property
    def written(self) -> int:
        """How many events that was."""
        return self.clean + self.repaired + self.quarantined.total() + self.removed

    def as_json(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "clean": self.clean,
            "repaired": self.repaired,
            "quarantined": self.quarantined.total(),
            "already": self.already,
            "removed": self.removed,
            "repairs": dict(self.repairs.most_common()),
            "reasons": dict(self.quarantined.most_common()),
            "unknown_features": dict(self.unknown_features.most_common()),
        }


def _count(counter: Counter[str], name: str) -> None:
    short = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    counter[short if short in counter or len(counter) < _NAMED else "others"] += 1
