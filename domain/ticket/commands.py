"""The commands to a ticket: in the imperative, and possibly refused.

- `within`: the organisation whose tickets the caller may change; None for platform staff. A ticket
  of another organisation gets the same answer as one that does not exist.
- `expected_version`: the version that the caller last read, or several of which any will do; None
  for any at all.
- `read_at`: the head of the log when the record was read from the old system. A stream with later
  events is left alone, as the record may be out of date. None if nothing else takes records over at
  the same time.
"""

from domain.origin import Origin
from domain.ticket.events import LegacyRecordQuarantined, LegacyRecordRemoved, TicketImported
from domain.value import value

Expected = int | frozenset[int]


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
    expected_version: Expected | None
    name: str


@value
class ChangeFeatures:
    """Replace the features of the ticket by `features`."""

    ticket_id: str
    origin: Origin
    within: str | None
    expected_version: Expected | None
    features: tuple[str, ...]


@value
class AdjustFeatures:
    """Add the features of `grant` to the ticket and take away those of `revoke`. It holds on
    whatever the ticket holds by then, so two of them never undo each other."""

    ticket_id: str
    origin: Origin
    within: str | None
    expected_version: Expected | None
    grant: tuple[str, ...]
    revoke: tuple[str, ...]


@value
class RetireTicket:
    ticket_id: str
    origin: Origin
    within: str | None
    expected_version: Expected | None


@value
class RestoreTicket:
    ticket_id: str
    origin: Origin
    within: str | None
    expected_version: Expected | None


@value
class ImportTicket:
    """Take over a legacy record, already translated. The same record a second time changes nothing;
    neither does a record that is older than a change made here."""

    ticket_id: str
    imported: TicketImported
    read_at: int | None = None


@value
class QuarantineRecord:
    """Keep a legacy record that cannot be a ticket, with the reason. The same record is kept
    once."""

    ticket_id: str
    quarantined: LegacyRecordQuarantined
    read_at: int | None = None


@value
class RemoveRecord:
    """Note that a record which was taken over is gone from the old system. With a `system`, a
    ticket of another system is left alone."""

    ticket_id: str
    removed: LegacyRecordRemoved
    read_at: int | None = None
    system: str | None = None


def event_of(command: ImportTicket | QuarantineRecord) -> TicketImported | LegacyRecordQuarantined:
    """The event of a command that takes a record over."""
    return command.imported if isinstance(command, ImportTicket) else command.quarantined


Command = (
    CreateTicket
    | RenameTicket
    | ChangeFeatures
    | AdjustFeatures
    | RetireTicket
    | RestoreTicket
    | ImportTicket
    | QuarantineRecord
    | RemoveRecord
)
