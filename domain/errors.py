"""Everything that can go wrong, in one small tree.

TicketbookError
├── Refusal                 a rule said no; nothing changed; a repetition gets the same answer
│   ├── InvalidName           empty, too long, or holding control characters
│   ├── InvalidFeatures       too many, or not feature names at all
│   ├── UnknownSystem         the catalogue has no such system
│   ├── UnknownFeature        the system has no such feature
│   ├── TicketNotFound        no such ticket for this caller
│   ├── TicketExists          the id is taken
│   ├── TicketIsRetired       a retired ticket must be restored before it can change
│   └── VersionConflict       the caller looked at an older version
├── KeyReused               an idempotency key came back with another command
├── CommandInProgress       the first command with an idempotency key has not ended yet
├── HeadMoved               another process appended first (the log retries; callers never see it)
├── StoreUnavailable        the store does not answer; the command may or may not be stored
│   ├── StoreRefused          the store answers, and its rights or configuration do not allow it
│   └── ClockAhead            the clock of this machine is far ahead of the store's
├── EventTooLarge           the store cannot hold an event of that size
├── Overloaded              too many commands wait already; nothing was stored
├── StoreTooNew             the store was written by a newer version of this program
├── StoreTooOld             the store was written before the first release
├── StoreCorrupt            the store holds something this program cannot read
│   ├── EventUnreadable       one event, of one ticket
│   └── RowUnreadable         one row of a view, of one ticket
├── SourceUnusable          the old system's records cannot be read, or not be followed
│   ├── SourceChanged         they are not the records that were verified, or backed up
│   ├── FollowedTooLate       the old system no longer remembers the changes since then
│   └── SourceGone            the collection was dropped or renamed while it was followed
├── BackupUnusable          there is no backup, it cannot be written, or it is damaged
├── ChainBroken             the log was changed after it was hashed
├── ExportBroken            an export was changed after it was signed
├── NotProven               an earlier step of the migration is missing, or out of date
├── ChangedHere             going back would lose changes that were made here
├── Fenced                  another runner holds the projection now
├── TicketNotParked         there is nothing to retry
├── NotInQuarantine         no record with that id is in quarantine
├── JobRunning              the same job is already running on a projection
├── VersionUnknown          a projection has no such version of its view
├── LegacyUsersUnavailable  the old system's users cannot be looked up now
├── LogAhead                the log cannot tell what was true at a time, as it ran ahead then
├── ProjectionBehind        a view did not reach the asked position in time
└── ConfigurationError      a setting or the catalogue file is wrong; the message says what to do

Errors know nothing of HTTP; `api/http/errors/failures.py` maps them.
"""

from dataclasses import dataclass
from typing import ClassVar


class TicketbookError(Exception):
    """The root of all errors that this program raises on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake in one part of a command. `pointer` is an RFC 6901 path to that part."""

    pointer: str
    code: str
    detail: str


class Refusal(TicketbookError):
    """A rule said no. `code` is stable and public; `detail` is a sentence for a person.

    `replayed` is True if an earlier command with the same idempotency key got this refusal.
    """

    code: ClassVar[str] = "refused"

    def __init__(
        self,
        detail: str,
        faults: tuple[Fault, ...] = (),
        version: int | None = None,
        *,
        replayed: bool = False,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = faults
        self.version = version
        self.replayed = replayed

    def below(self, pointer: str) -> "Refusal":
        """The same refusal of one part of something larger; `pointer` is the path to that part."""
        faults = [Fault(pointer + fault.pointer, fault.code, fault.detail) for fault in self.faults]
        if not faults:
            faults = [Fault(pointer, self.code, self.detail)]
        return type(self)(self.detail, tuple(faults), self.version, replayed=self.replayed)


class InvalidName(Refusal):
    code = "invalid-name"


class InvalidFeatures(Refusal):
    code = "invalid-features"


class UnknownSystem(Refusal):
    code = "unknown-system"


class UnknownFeature(Refusal):
    code = "unknown-feature"


class TicketNotFound(Refusal):
    code = "ticket-not-found"


class TicketExists(Refusal):
    code = "ticket-exists"


class TicketIsRetired(Refusal):
    code = "ticket-retired"


class VersionConflict(Refusal):
    """`version` is the current version (0 when there is no such stream)."""

    code = "version-conflict"


REFUSALS: dict[str, type[Refusal]] = {
    refusal.code: refusal
    for refusal in (
        InvalidName,
        InvalidFeatures,
        UnknownSystem,
        UnknownFeature,
        TicketNotFound,
        TicketExists,
        TicketIsRetired,
        VersionConflict,
    )
}


class KeyReused(TicketbookError):
    """The idempotency key already answered a different command."""


class CommandInProgress(TicketbookError):
    """An earlier command with the same idempotency key has not ended yet."""


class HeadMoved(TicketbookError):
    """The log no longer ends where the commit was to begin."""


class StoreUnavailable(TicketbookError):
    """The store did not answer in time. A command may or may not have been stored: repeat it with
    the same idempotency key to find out."""


class StoreRefused(StoreUnavailable):
    """The store answers, and does not do it: a right is missing, or its configuration is at fault.
    The message names what to grant or to change. To repeat the request alone does not help."""


class ClockAhead(StoreUnavailable):
    """The clock of this machine is far ahead of the store's. Nothing was stored."""


class LogAhead(TicketbookError):
    """The log ran ahead of the clock at the time in question: it cannot tell what was true then."""


class LegacyUsersUnavailable(TicketbookError):
    """The database of the old system's users did not answer in time, so that none of them can be
    recognised. Other callers are not affected."""


class Overloaded(TicketbookError):
    """More commands wait than this process can hold. Nothing was stored."""


class StoreTooNew(TicketbookError):
    """The store's schema is newer than this program understands."""


class StoreTooOld(TicketbookError):
    """The store's schema is from before the first release, and cannot be upgraded."""


class EventTooLarge(TicketbookError):
    """The store cannot hold an event of that size; nothing was stored."""


class StoreCorrupt(TicketbookError):
    """Stored bytes cannot be read back."""


class EventUnreadable(StoreCorrupt):
    """The event at `position` cannot be read back. Only the ticket `ticket_id` is affected."""

    def __init__(self, detail: str, position: int, ticket_id: str) -> None:
        super().__init__(detail)
        self.position = position
        self.ticket_id = ticket_id


class RowUnreadable(StoreCorrupt):
    """The row `key` of the view of a projection was changed by something else. `key` is a ticket's
    id, or the position of an audit entry. Every other row can be read."""

    def __init__(self, projection: str, key: object, cause: Exception) -> None:
        super().__init__(
            f"The row {key} of {projection} was changed by something else (missing or unusable: "
            f"{type(cause).__name__}). Run: ticketbook projections verify {projection} --repair"
        )
        self.projection = projection
        self.key = key


class SourceUnusable(TicketbookError):
    """The records of the old system cannot be read, or not in this way. The message says why."""


class SourceChanged(SourceUnusable):
    """The records changed since an earlier step examined them. Nothing was done to them."""


class FollowedTooLate(SourceUnusable):
    """The old system does not remember all changes: all records must be compared instead."""


class SourceGone(SourceUnusable):
    """The collection that was followed no longer exists."""


class BackupUnusable(TicketbookError):
    """There is no backup of the old system, or it is damaged."""


class ChainBroken(TicketbookError):
    """The log was changed after it was hashed. `position` is the first one that shows it."""

    def __init__(self, position: int, detail: str) -> None:
        super().__init__(f"Position {position}: {detail}")
        self.position = position


class ExportBroken(TicketbookError):
    """An export was changed, or the file is no export. `line` is the first that shows it, from
    1."""

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(f"Line {line}: {detail}")
        self.line = line


class NotProven(TicketbookError):
    """A step that makes this one safe was not done yet, or the records changed after it."""


class ChangedHere(TicketbookError):
    """Going back would lose changes that were made here since the tickets were taken over."""


class Fenced(TicketbookError):
    """A newer holder of the lease has written since; the present one must stop."""


class TicketNotParked(TicketbookError):
    """The projection has no such parked ticket."""


class VersionUnknown(TicketbookError):
    """The projection has no such version of its view, or none that this command applies to."""


class NotInQuarantine(TicketbookError):
    """No record with that id is in quarantine."""

    def __init__(self, record_id: str) -> None:
        super().__init__(f"{record_id!r} is not in quarantine. See migrate quarantine list.")


class JobRunning(TicketbookError):
    """The same job was started before and has not ended yet."""


class ProjectionBehind(TicketbookError):
    """The view has not reached the position that the caller asked for."""


class ConfigurationError(TicketbookError):
    """A setting or a configuration file is wrong. The message says which, where, and what to do."""
