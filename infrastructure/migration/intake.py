"""Taking records over while the old system goes on writing, and others may take over as well."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from domain.deciding import Outcome, Submission
from domain.errors import TicketExists
from domain.log.ports import EventLog
from domain.origin import Origin
from domain.ticket.commands import ImportTicket, QuarantineRecord, RemoveRecord
from domain.ticket.events import LegacyRecordRemoved
from infrastructure.log.writer import Writer
from infrastructure.migration.changes import SourceChange
from infrastructure.migration.records import Translation, stream_id


@dataclass(frozen=True, slots=True)
class Taken:
    """How many records became what; those that were here already count as unchanged.

    When both sides changed a ticket, the later `updatedAt` counts: `replaced` are those of the
    imported that took the place of a change made here, `changed_here` those that a later one kept
    out.
    """

    imported: int = 0
    quarantined: int = 0
    removed: int = 0
    unchanged: int = 0
    changed_here: int = 0
    replaced: int = 0

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(
            self.imported + other.imported,
            self.quarantined + other.quarantined,
            self.removed + other.removed,
            self.unchanged + other.unchanged,
            self.changed_here + other.changed_here,
            self.replaced + other.replaced,
        )


Command = ImportTicket | QuarantineRecord | RemoveRecord

_COUNTED: Final[dict[type[Command], Taken]] = {
    ImportTicket: Taken(imported=1),
    QuarantineRecord: Taken(quarantined=1),
    RemoveRecord: Taken(removed=1),
}
_REPLACED: Final = Taken(imported=1, replaced=1)
_CHANGED_HERE: Final = Taken(changed_here=1)
_UNCHANGED: Final = Taken(unchanged=1)


class Intake:
    """Hands records to the writer, and reads those again that were overtaken.

    `read` gives the records of some ids as they stand now; `origin` says who takes over, and when.
    """

    def __init__(
        self,
        writer: Writer,
        log: EventLog,
        translation: Translation,
        read: Callable[[Sequence[Any]], Sequence[SourceChange]],
        origin: Callable[[], Origin],
    ) -> None:
        self._writer = writer
        self._log = log
        self._translation = translation
        self._read = read
        self._origin = origin

    def take(self, changes: Sequence[SourceChange], read_at: int) -> Taken:
        """Take records over that were read after the log ended at `read_at`."""
        taken = Taken()
        while changes:
            some, overtaken = self._submit(changes, read_at)
            taken += some
            read_at = self._log.head()
            changes = self._read(overtaken)
        return taken

    def remove(self, stream_ids: Sequence[str], read_at: int) -> Taken:
        """Note which records are gone, by the streams they were taken into."""
        origin = self._origin()
        pending = [self._hand_in(self._removal(one, origin, read_at)) for one in stream_ids]
        removed = sum(future.result().appended for future in pending)
        return Taken(removed=removed)

    def _submit(self, changes: Sequence[SourceChange], read_at: int) -> tuple[Taken, list[Any]]:
        """What became of the records, and the ids of those to read again."""
        origin = self._origin()
        commands = [self._command(change, origin, read_at) for change in changes]
        pending = [self._hand_in(command) for command in commands]
        taken, overtaken = Taken(), list[Any]()
        for change, command, future in zip(changes, commands, pending, strict=True):
            try:
                outcome = future.result()
            except TicketExists as refusal:
                assert change.record is not None
                command = self._translation.quarantine(change.record, str(refusal), origin, read_at)
                outcome = self._hand_in(command).result()
            if not outcome.appended and outcome.position > read_at:
                overtaken.append(change.id)
            else:
                taken += _counted(command, outcome)
        return taken, overtaken

    def _command(self, change: SourceChange, origin: Origin, read_at: int) -> Command:
        if change.record is None:
            return self._removal(stream_id(change.id), origin, read_at)
        return self._translation.command(change.record, origin, read_at)

    def _removal(self, stream: str, origin: Origin, read_at: int) -> RemoveRecord:
        removed = LegacyRecordRemoved(origin, self._translation.collection)
        return RemoveRecord(stream, removed, read_at, self._translation.system)

    def _hand_in(self, command: Command) -> "Future[Outcome]":
        return self._writer.submit(Submission((command,)))


def _counted(command: Command, outcome: Outcome) -> Taken:
    before = outcome.before
    if not isinstance(command, ImportTicket) or before is None or not before.changed_here:
        return _COUNTED[type(command)] if outcome.appended else _UNCHANGED
    if outcome.appended:
        return _REPLACED
    return _UNCHANGED if before.holds(command.imported.source.digest) else _CHANGED_HERE
