"""What may be asked of a ticket: imperative, and possibly refused.

`within` is the organisation whose tickets the caller may touch, or None for platform staff;
another organisation's ticket is answered as if it did not exist. `expected_version` is the
version the caller looked at, or None when it does not mind. `read_at` is where the log ended when
the old system was asked for a record: a stream that has moved on since is left alone, for what was
read may be out of date. None says that nobody else takes records over at the same time.
"""

from domain.origin import Origin
from domain.ticket.events import LegacyRecordQuarantined, LegacyRecordRemoved, TicketImported
from domain.value import value


@value
class CreateTicket:
    ticket_id: str
    origin: Origin
    org_id: str
    system: str
    name: str
    features: tuple[str, ...]


@value
class RenameTicket:
    ticket_id: str
    origin: Origin
    within: str | None
    expected_version: int | None
    name: str


@value
class ChangeFeatures:
    """Make the ticket hold exactly `features`."""

    ticket_id: str
    origin: Origin
    within: str | None
    expected_version: int | None
    features: tuple[str, ...]


@value
class RetireTicket:
    ticket_id: str
    origin: Origin
    within: str | None
    expected_version: int | None


@value
class RestoreTicket:
    ticket_id: str
    origin: Origin
    within: str | None
    expected_version: int | None


@value
class ImportTicket:
    """Take a legacy record over, already translated. The same record twice changes nothing, nor
    does one that is older than what was changed here."""

    ticket_id: str
    imported: TicketImported
    read_at: int | None = None


@value
class QuarantineRecord:
    """Keep a legacy record that cannot be a ticket, with the reason; the same record once."""

    ticket_id: str
    quarantined: LegacyRecordQuarantined
    read_at: int | None = None


@value
class RemoveRecord:
    """Note that a record which was taken over is gone from the old system: one of that `system`,
    or of any."""

    ticket_id: str
    removed: LegacyRecordRemoved
    read_at: int | None = None
    system: str | None = None


def event_of(command: ImportTicket | QuarantineRecord) -> TicketImported | LegacyRecordQuarantined:
    """The event that a command to take a record over asks for."""
    return command.imported if isinstance(command, ImportTicket) else command.quarantined


Command = (
    CreateTicket
    | RenameTicket
    | ChangeFeatures
    | RetireTicket
    | RestoreTicket
    | ImportTicket
    | QuarantineRecord
    | RemoveRecord
)
