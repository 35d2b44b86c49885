"""One open service: every way in works with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from api.use_cases.jobs import JobRunner
from domain.log.ports import Clock
from infrastructure.configuration.catalogue_file import CatalogueFile
from infrastructure.configuration.settings import Settings
from infrastructure.journal.writer import JournalWriter
from infrastructure.keys.credentials import Tokens
from infrastructure.legacy_usage import LegacyUsage
from infrastructure.log.ticket_log import TicketLog
from infrastructure.log.times import LogTimes
from infrastructure.log.writer import Writer
from infrastructure.stores import AuditView, Notes, TicketsView
from projections.running.progress import Progress
from projections.versions.followed import LiveProjection
from projections.versions.workers import Workers

if TYPE_CHECKING:  # loaded only where the old system's callers are answered
    from infrastructure.legacy_access.tokens import LegacyTokens
    from infrastructure.legacy_access.usage import UsageCounter
    from infrastructure.legacy_access.users import LegacyUsers


@dataclass(frozen=True, slots=True)
class Legacy:
    """The parts that answer the old system's callers."""

    tokens: "LegacyTokens"
    users: "LegacyUsers"
    counter: "UsageCounter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Everything a way in needs. `legacy` is None where the old system's callers are not
    answered; `legacy_usage` counts their calls anyway."""

    settings: Settings
    catalogue: CatalogueFile
    tokens: Tokens
    log: TicketLog
    writer: Writer
    journal: JournalWriter
    head: Progress
    times: LogTimes
    tickets: LiveProjection[TicketsView]
    audit: LiveProjection[AuditView]
    jobs: JobRunner
    workers: Workers
    legacy: Legacy | None
    legacy_usage: LegacyUsage
    notes: Notes
    clock: Clock
    new_id: Callable[[], str]

    @property
    def projections(self) -> Mapping[str, LiveProjection[Any]]:
        """Every projection by name, for whatever is done to all of them alike."""
        return {live.projection.name: live for live in (self.tickets, self.audit)}
