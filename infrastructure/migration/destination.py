"""Where records are taken over to, and who does it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from domain.catalogue import Catalogue
from domain.log.ports import Clock
from domain.origin import Origin, iso, milliseconds
from domain.ticket.events import Recorded
from infrastructure.log.ticket_log import TicketLog
from infrastructure.log.writer import Writer
from infrastructure.migration.changes import read
from infrastructure.migration.counts import Counts
from infrastructure.migration.importer import Importer
from infrastructure.migration.records import Translation
from infrastructure.migration.restoring import Records
from infrastructure.migration.source import TICKETS
from infrastructure.stores import Notes


@dataclass(frozen=True, slots=True)
class Destination:
    """The store that records are taken over to.

    `actor` is the operator who does it; `record` keeps in the journal what was done: an action and
    its details.
    """

    log: TicketLog
    writer: Writer
    notes: Notes
    catalogue: Catalogue
    clock: Clock
    actor: str
    record: Callable[[str, Mapping[str, Any]], None]

    def translation(self, system: str | None, collection: str = TICKETS) -> Translation:
        """Raises `UnknownSystem`."""
        return translation_of(self.catalogue, system, collection)

    def origin(self) -> Callable[[], Origin]:
        """The operator, at the moment of asking; one conversation per command."""
        run = f"migrate-{uuid4().hex}"
        return lambda: Origin(self.actor, None, run, None, milliseconds(self.clock()))

    def now(self) -> str:
        """The moment, as text."""
        return iso(milliseconds(self.clock()))

    def importer(
        self, translation: Translation, records: Records | None, counts: Counts | None = None
    ) -> Importer:
        """Takes records over; those of a collection at work are read again once overtaken."""
        again = partial(read, records) if records is not None else None
        return Importer(self.writer, self.log, translation, self.origin(), again, counts)


@dataclass(frozen=True, slots=True)
class DestinationView:
    """The store as it is, to read: `log` and `notes` are None while there is no store."""

    log: TicketLog | None
    notes: Notes | None
    catalogue: Catalogue

    def histories(self, ids: Collection[str]) -> Mapping[str, Sequence[Recorded]]:
        return self.log.histories(ids) if self.log else {}


def translation_of(
    catalogue: Catalogue, system: str | None, collection: str = TICKETS
) -> Translation:
    """How records of the system are read; of a system each, if that is None. Raises
    `UnknownSystem`."""
    if system is not None:
        catalogue.system(system)
    return Translation(collection, system, catalogue)
