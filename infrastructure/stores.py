"""What a store offers, whichever it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from typing import Any, Protocol

from domain.ticket import Ticket
from infrastructure.legacy.usage import LegacyUsage
from infrastructure.ordered_log import OrderedLog
from projections.as_of import PastReader
from projections.audit import AuditEntry, AuditReader
from projections.journal import Journal
from projections.operation import Operations
from projections.projection import Leases, View
from projections.tickets import TicketReader
from projections.versions import Versions


class Watcher(Protocol):
    """Hears of what other processes did to the store."""

    def changes(self, stop: Event) -> Iterator[None]:
        """One item as soon as the log or a view may have moved, and now and then anyway; ends
        soon after `stop` is set."""


class Notes(Protocol):
    """Small things to remember beside the log, for operators' commands: JSON values by name."""

    def find(self, name: str) -> Any:
        """What was kept last under the name; None when there is nothing."""

    def keep(self, name: str, value: Any) -> None:
        """Durable once this returns."""

    def forget(self, name: str) -> None: ...


class TicketsView(View[Ticket], TicketReader, Protocol):
    """The `tickets` view, for its runner and its readers."""


class AuditView(View[AuditEntry], AuditReader, PastReader, Protocol):
    """The `audit` view, for its runner and its readers."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a store holds that was opened for reading alone."""

    log: OrderedLog
    notes: Notes


@dataclass(frozen=True, slots=True)
class Stores:
    """One opened store."""

    log: OrderedLog
    tickets: Versions[TicketsView]
    audit: Versions[AuditView]
    journal: Journal
    operations: Operations
    leases: Leases
    watcher: Watcher
    legacy_usage: LegacyUsage
    notes: Notes
