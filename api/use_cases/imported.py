"""The imports behind audit entries: the log alone knows what was repaired."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from domain.errors import EventUnreadable
from domain.ticket.events import TicketImported
from infrastructure.log import codec
from infrastructure.log.ticket_log import TicketLog
from projections.audit.projection import AuditEntry


def imports_behind(log: TicketLog, entries: Sequence[AuditEntry]) -> Mapping[int, TicketImported]:
    """The import events of those entries that came of one, by position. An event that cannot be
    read is left out. Raises `StoreUnavailable`."""
    positions = {entry.position for entry in entries if entry.action == TicketImported.TOPIC}
    imports: dict[int, TicketImported] = {}
    for position, stored in log.at(positions).items() if positions else ():
        with suppress(EventUnreadable):
            event = codec.decode(stored).event
            if isinstance(event, TicketImported):
                imports[position] = event
    return imports
