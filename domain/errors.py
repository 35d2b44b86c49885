"""Everything that can go wrong, in one small tree.

TicketbookError
├── Refusal                 a rule said no; nothing changed; asking again gives the same answer
│   ├── InvalidName           empty, too long, or holding control characters
│   ├── InvalidFeatures       too many, or not feature names at all
│   ├── UnknownSystem         the catalogue has no such system
│   ├── UnknownFeature        the system has no such feature
│   ├── TicketNotFound        no such ticket for this caller
│   ├── TicketExists          the id is taken
│   ├── TicketIsRetired       a retired ticket must be restored before it can change
│   └── VersionConflict       the caller looked at an older version
├── KeyReused               an idempotency key came back with another command
├── HeadMoved               somebody else appended first (the log retries; callers never see it)
├── StoreUnavailable        the store does not answer; what was asked may or may not have happened
├── EventTooLarge           the store cannot hold an event of that size
├── Overloaded              too much is waiting already; nothing was stored
├── StoreTooNew             the store was written by a newer version of this program
├── StoreTooOld             the store was written before the first release
├── StoreCorrupt            the store holds something this program cannot read
│   └── EventUnreadable       one event, of one ticket
├── SourceUnusable          the old system's records cannot be read, or not be followed
│   ├── SourceChanged         they are not those that were verified, or backed up
│   ├── FollowedTooLate       what changed there since is no longer remembered
│   └── SourceGone            the collection was dropped or renamed while it was followed
├── BackupUnusable          there is no backup, it cannot be written, or it is damaged
├── ChainBroken             the log is not what it was when it was hashed
├── ExportBroken            an export is not what was signed
├── NotProven               something must be shown first, before it may be done
├── ChangedHere             what was changed here would be lost
├── Fenced                  another runner holds the projection now
├── TicketNotParked         there is nothing to retry
├── JobRunning              the same is being done to a projection already
├── VersionUnknown          a projection has no such version of its view
├── LegacyUsersUnavailable  the old system's users cannot be looked up now
├── ProjectionBehind        a view did not reach the asked position in time
└── ConfigurationError      a setting or the catalogue file is wrong; says what to do

Errors know nothing of HTTP; `api/http/errors/failures.py` maps them.
"""

from dataclasses import dataclass
from typing import ClassVar


class TicketbookError(Exception):
    """The root: anything this program raises on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one part of a command. `pointer` is an RFC 6901 path into it."""

    pointer: str
    code: str
    detail: str


class Refusal(TicketbookError):
    """A rule said no. `code` is stable and public; `detail` is a sentence for a person.

    `replayed` says that an earlier command with the same idempotency key was refused like this.
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


class HeadMoved(TicketbookError):
    """Positions were claimed after a head that is no longer the head."""


class StoreUnavailable(TicketbookError):
    """The store did not answer in time. A command may or may not have been stored: repeat it with
    the same idempotency key to find out."""


class LegacyUsersUnavailable(TicketbookError):
    """The database of the old system's users did not answer in time: nobody of them can be
    recognised. Nothing else is concerned."""


class Overloaded(TicketbookError):
    """More is waiting than this process can hold. Nothing was stored."""


class StoreTooNew(TicketbookError):
    """The store's schema is newer than this program understands."""


class StoreTooOld(TicketbookError):
    """The store's schema is of a time before the first release, and is not carried over."""


class EventTooLarge(TicketbookError):
    """The store cannot hold an event of that size; nothing was stored."""


class StoreCorrupt(TicketbookError):
    """Something stored cannot be read back."""


class EventUnreadable(StoreCorrupt):
    """The event at `position` cannot be read back: that concerns `ticket_id` alone."""

    def __init__(self, detail: str, position: int, ticket_id: str) -> None:
        super().__init__(detail)
        self.position = position
        self.ticket_id = ticket_id


class SourceUnusable(TicketbookError):
    """The records of the old system cannot be read, or not as asked. The message says why."""


class SourceChanged(SourceUnusable):
    """The records are not the ones that were looked at before. Nothing was done to them."""


class FollowedTooLate(SourceUnusable):
    """The old system does not remember all that changed: only a comparison of all records helps."""


class SourceGone(SourceUnusable):
    """The collection that was followed is no longer there."""


class BackupUnusable(TicketbookError):
    """There is no backup of the old system, or none that can be relied on."""


class ChainBroken(TicketbookError):
    """Something was changed after it was hashed; `position` is the first place where it shows."""

    def __init__(self, position: int, detail: str) -> None:
        super().__init__(f"Position {position}: {detail}")
        self.position = position


class ExportBroken(TicketbookError):
    """An export was changed, or is none; `line` is the first, from 1, where it shows."""

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(f"Line {line}: {detail}")
        self.line = line


class NotProven(TicketbookError):
    """What would make this safe was not done yet, or not of what is there now."""


class ChangedHere(TicketbookError):
    """Going back would lose what was changed here since tickets were taken over."""


class Fenced(TicketbookError):
    """A newer holder of the lease has written since; this one must stop."""


class TicketNotParked(TicketbookError):
    """The projection has no such parked ticket."""


class VersionUnknown(TicketbookError):
    """The projection has no such version of its view, or none to do this with."""


class JobRunning(TicketbookError):
    """Somebody started the same, and it has not ended yet."""


class ProjectionBehind(TicketbookError):
    """The view has not reached the position that the caller wants to see."""


class ConfigurationError(TicketbookError):
    """A setting or a configuration file is wrong. The message says which, where, and what to do."""
