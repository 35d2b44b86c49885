"""The parts of a store, whether it is MongoDB or SQLite."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any, Protocol

from domain.log.ports import Clock
from domain.ticket.state import Ticket
from infrastructure.jobs import Jobs
from infrastructure.journal.entries import Journal
from infrastructure.legacy_usage import LegacyUsage
from infrastructure.log.ordered_log import OrderedLog
from projections.audit.as_of import PastReader
from projections.audit.projection import AUDIT, AuditEntry
from projections.audit.search import AuditReader
from projections.running.projection import Leases, Projection, TakeSteps, View
from projections.tickets.projection import TICKETS
from projections.tickets.search import TicketReader
from projections.versions.registry import Versions


class Watcher(Protocol):
    """Notices changes that other processes make to the store."""

    def changes(self, stop: Event) -> Iterator[None]:
        """Gives an item as soon as the log or a view may have changed, and regularly besides. Ends
        soon after `stop` is set."""


class Notes(Protocol):
    """Notes of operators' commands, stored beside the log: JSON values by name."""

    def find(self, name: str) -> Any:
        """The value stored last under the name; None if there is none."""

    def keep(self, name: str, value: Any) -> None:
        """Store the value durably."""

    def forget(self, name: str) -> None: ...


class TicketsView(View[Ticket], TicketReader, Protocol):
    """The `tickets` view, for its runner and its readers."""


class AuditView(View[AuditEntry], AuditReader, PastReader, Protocol):
    """The `audit` view, for its runner and its readers."""


@dataclass(frozen=True, slots=True)
class ReadOnlyStores:
    """The parts of a store that was opened for reading only."""

    log: OrderedLog
    notes: Notes


@dataclass(frozen=True, slots=True)
class Stores:
    """One opened store.

    `take_steps` stores steps of several views in one transaction; None where the store takes
    several transactions at the same time.
    """

    log: OrderedLog
    tickets: Versions[TicketsView]
    audit: Versions[AuditView]
    journal: Journal
    jobs: Jobs
    leases: Leases
    take_steps: TakeSteps | None
    watcher: Watcher
    legacy_usage: LegacyUsage
    notes: Notes
    clock: Clock | None
    """The store's own clock; None where that is the clock of this machine."""

    def kind(self, name: str) -> tuple[Projection[Any], Versions[Any]]:
        """The projection of that name, with the versions of its view."""
        kinds: Mapping[str, tuple[Projection[Any], Versions[Any]]] = {
            TICKETS.name: (TICKETS, self.tickets),
            AUDIT.name: (AUDIT, self.audit),
        }
        return kinds[name]
