"""How many records became what, or would."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from domain.ticket.events import Event, LegacyRecordQuarantined, LegacyRecordRemoved, TicketImported
from infrastructure.migration.records import Translation
from infrastructure.migration.system_match import SystemMatch

_NAMED: Final = 100
"""Most names in one count: a dirty record may hold any text, and a million may hold as many."""

_LONGEST: Final = 50
"""Characters of a name that is counted: longer ones are cut."""


@dataclass(slots=True)
class Counts:
    """How many records became what.

    - `clean` and `repaired` were imported, `quarantined` (by reason) were kept aside.
    - `unchanged` were taken over before; `removed` were too, and are gone from the source.
    - When both sides changed a ticket, the later `updatedAt` counts: `replaced` are those of the
      imported that took the place of a change made here, `changed_here` those that a later change
      made here kept out.
    - `repairs` and `unknown_features` say which, and how often; `system_match` says whether the
      records are of the right system.
    """

    system_match: SystemMatch
    clean: int = 0
    repaired: int = 0
    unchanged: int = 0
    changed_here: int = 0
    replaced: int = 0
    removed: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    unknown_features: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, translation: Translation) -> Self:
        """None yet of records that are read like that."""
        return cls(SystemMatch(translation.catalogue, translation.system))

    def add(self, events: Sequence[Event | None]) -> None:
        """So many records more, each of which led to that event, or to none."""
        self.system_match.add(events)
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
                self.unchanged += 1

    @property
    def imported(self) -> int:
        return self.clean + self.repaired

    @property
    def already(self) -> int:
        """Records that changed nothing, because they were taken over before."""
        return self.unchanged + self.changed_here

    @property
    def records(self) -> int:
        """Records that were read, and are still there."""
        return self.imported + self.quarantined.total() + self.already

    @property
    def written(self) -> int:
        """Events that were, or would be, appended."""
        return self.imported + self.quarantined.total() + self.removed

    def as_json(self) -> dict[str, Any]:
        """For all records of a source: how many are of which kind, and why."""
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

    def as_changes_json(self) -> dict[str, int]:
        """For records of a source at work: how many were imported, removed and so on."""
        return {
            "imported": self.imported,
            "quarantined": self.quarantined.total(),
            "removed": self.removed,
            "unchanged": self.unchanged,
            "changed_here": self.changed_here,
            "replaced": self.replaced,
        }


def _count(counter: Counter[str], name: str) -> None:
    short = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    counter[short if short in counter or len(counter) < _NAMED else "others"] += 1
