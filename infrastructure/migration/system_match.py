"""Whether records are of the system that was named, by the features that they list."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

from domain.catalogue import Catalogue
from domain.ticket.events import Event, TicketImported


class SystemMatch:
    """Counts the features that records list; `system` is the one they should be features of."""

    def __init__(self, catalogue: Catalogue, system: str | None) -> None:
        self._system = system
        self._features = {
            name: system.features.keys() for name, system in catalogue.systems.items()
        }
        self._any = frozenset[str]().union(*self._features.values())
        self._listed = 0
        self._named = Counter[str]()  # only what some system has: a record may list anything

    def add(self, events: Sequence[Event | None]) -> None:
        """Records that led to those events, or to none."""
        imported = [event for event in events if isinstance(event, TicketImported)]
        listed = [event.features for event in imported]
        listed += [event.unknown_features for event in imported]
        self._listed += sum(map(len, listed))
        self._named.update(filter(self._any.__contains__, chain.from_iterable(listed)))

    def doubt(self) -> str | None:
        """The reason to doubt the system; None if it has at least half of the listed features."""
        known = self._known()
        if self._system is None or 2 * known[self._system] >= self._listed:
            return None
        best = max(known, key=lambda name: known[name])
        return (
            f"Warning: {self._system} has only {known[self._system]:,} of the {self._listed:,} "
            f"features that these records list. {_better(best, known[best], known[self._system])}"
        )

    def _known(self) -> Mapping[str, int]:
        return {
            system: sum(count for name, count in self._named.items() if name in features)
            for system, features in self._features.items()
        }


def _better(best: str, its: int, now: int) -> str:
    if its > now:
        return f"{best} has {its:,} of them: is --system {best} meant?"
    return "Is it the right source, and the right catalogue?"
