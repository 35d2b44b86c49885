"""Taking records over: the one engine behind `run`, `follow`, `adopt` and `quarantine retry`.

It has the writer decide the commands, settles their outcomes, and counts them. A record that
somebody else took over since it was read is read again, so that the newest content stays.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, Future
from threading import Event as Signal
from typing import Any, Final

from bson import ObjectId

from domain.deciding import Outcome, Submission
from domain.errors import EventTooLarge, SourceUnusable, StoreUnavailable, TicketExists
from domain.origin import Origin
from domain.ticket.commands import ImportTicket, QuarantineRecord, RemoveRecord, event_of
from domain.ticket.events import Event, LegacyRecordRemoved
from infrastructure.log.ticket_log import TicketLog
from infrastructure.log.writer import Writer
from infrastructure.migration.bson import id_of
from infrastructure.migration.changes import SourceChange
from infrastructure.migration.chunks import ahead, parts
from infrastructure.migration.counts import Counts
from infrastructure.migration.records import Translation, stream_id
from infrastructure.migration.translators import Translate, Translated

_BATCH_RECORDS: Final = 1_000
"""Most records in a batch: as many as translating and committing can overlap well."""

_BATCH_BYTES: Final = 2 * 1024 * 1024
"""Most bytes in a batch, unless one record alone has more: it bounds the memory of a migration."""

_BATCHES_AHEAD: Final = 3
"""Most batches that are being translated, and as many that are being committed."""

Command = ImportTicket | QuarantineRecord | RemoveRecord
Read = Callable[[Sequence[Any]], Sequence[SourceChange]]
"""The records of these ids, as they stand now."""


class Importer:
    """Hands the commands for records to the writer, in batches, and remembers no record.

    - `origin` says who takes over, and when.
    - `read` reads those records again that were overtaken: the old system is still at work, and
      somebody else may follow it meanwhile. None for a source that cannot change.
    - `counts` says what became of the records so far.
    """

    def __init__(
        self,
        writer: Writer,
        log: TicketLog,
        translation: Translation,
        origin: Callable[[], Origin],
        read: Read | None,
        counts: Counts | None = None,
    ) -> None:
        self._writer = writer
        self._log = log
        self._translation = translation
        self._origin = origin
        self._read = read
        self.counts = counts or Counts.of(translation)

    def take_all(
        self, records: Iterable[bytes], translate: Translate, tell: Callable[[int], None]
    ) -> set[str]:
        """Take over all records of a source, translated and committed at the same time.

        `tell` gets how many were settled. Returns the streams of records whose `_id` is no
        ObjectId. Safe to interrupt anywhere, and to do again: records that were taken over already
        change nothing. Raises what the source raises, and `StoreUnavailable`.
        """
        read_at = self._log.head()
        since = read_at if self._read else None
        streams, number = set[str](), 0
        begun = (
            (batch, translate(batch, self._origin(), since))
            for batch in parts(records, _BATCH_RECORDS, _BATCH_BYTES)
        )
        handed_in = (self._hand_in_translated(*batch) for batch in ahead(begun, _BATCHES_AHEAD))
        for batch in ahead(handed_in, _BATCHES_AHEAD):
            streams.update(batch.streams_without_object_id())
            overtaken = self._settle(batch, read_at)
            self._log.forget(batch.events)
            self._take_again([id_of(batch.records[place] or b"") for place in overtaken])
            number += len(batch.records)
            tell(number)
        return streams

    def take(self, changes: Sequence[SourceChange], read_at: int) -> None:
        """Take over records that were read after the log ended at `read_at`."""
        if changes:
            self._take_again(self._take_once(changes, read_at))

    def remove(self, stream_ids: Sequence[str], read_at: int) -> None:
        """Note which records are gone, by the streams they were taken into."""
        origin = self._origin()
        removals = [self._removal(stream, origin, read_at) for stream in stream_ids]
        outcomes = self._hand_in([None] * len(removals), removals).outcomes()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            self.counts.removed += outcome.appended

    def _take_once(self, changes: Sequence[SourceChange], read_at: int) -> list[Any]:
        """Returns the ids of the records that were overtaken."""
        origin = self._origin()
        commands = [self._command(change, origin, read_at) for change in changes]
        batch = self._hand_in([change.record for change in changes], commands)
        return [changes[place].id for place in self._settle(batch, read_at)]

    def _take_again(self, ids: Sequence[Any]) -> None:
        while ids and self._read:
            read_at = self._log.head()
            ids = self._take_once(self._read(ids), read_at)

    def _hand_in_translated(
        self, records: Sequence[bytes], translated: Future[Translated]
    ) -> "_Batch":
        try:
            pairs = translated.result()
        except BrokenExecutor as error:
            raise StoreUnavailable(
                f"The process that translates the records ended ({error}). Run the same command "
                "again: what was taken over stays, and is skipped. If that happens again, see "
                "whether the machine has memory enough."
            ) from error
        commands = [command for command, _ in pairs]
        events = map(event_of, commands)
        self._log.prepare(zip(events, (encoded for _, encoded in pairs), strict=True))
        return self._hand_in(records, commands)

    def _hand_in(self, records: Sequence[bytes | None], commands: Sequence[Command]) -> "_Batch":
        batch = _Batch(records, commands)
        self._writer.hand_in_all([Submission((command,)) for command in commands], batch.answered)
        return batch

    def _settle(self, batch: "_Batch", read_at: int) -> list[int]:
        """Count what became of a batch. Returns the places in it of records that were overtaken."""
        self._quarantine_refused(batch)
        counted: list[tuple[Command, Outcome]] = []
        overtaken: list[int] = []
        for place, outcome in enumerate(batch.outcomes()):
            if isinstance(outcome, EventTooLarge):
                raise SourceUnusable(
                    f"The record {id_of(batch.records[place] or b'')} is too large to be kept. "
                    f"{outcome} Take it out of the source, where a backup keeps it, and run again; "
                    "or take over into a SQLite store, which holds it."
                )
            if isinstance(outcome, Exception):
                raise outcome
            if self._read and not outcome.appended and outcome.position > read_at:
                overtaken.append(place)
            else:
                counted.append((batch.commands[place], outcome))
        self.counts.add([_event(command) if done.appended else None for command, done in counted])
        for command, outcome in counted:
            if isinstance(command, ImportTicket):
                self._count_conflict(command, outcome)
        return overtaken

    def _count_conflict(self, command: ImportTicket, outcome: Outcome) -> None:
        """When both sides changed a ticket, say which of the changes stays."""
        if not (outcome.before and outcome.before.changed_here):
            return
        if outcome.appended:
            self.counts.replaced += 1
        elif not outcome.before.holds(command.imported.source.digest):
            self.counts.unchanged -= 1
            self.counts.changed_here += 1

    def _quarantine_refused(self, batch: "_Batch") -> None:
        """Put records whose id belongs to somebody else's ticket into quarantine instead."""
        origin = self._origin()
        refused = {
            place: self._translation.quarantine(
                batch.record(place), str(outcome), origin, batch.commands[place].read_at
            )
            for place, outcome in enumerate(batch.outcomes())
            if isinstance(outcome, TicketExists)
        }
        records = [batch.record(place) for place in refused]
        outcomes = self._hand_in(records, [*refused.values()]).outcomes()
        for (place, command), outcome in zip(refused.items(), outcomes, strict=True):
            batch.replace(place, command, outcome)

    def _command(self, change: SourceChange, origin: Origin, read_at: int) -> Command:
        if change.record is None:
            return self._removal(stream_id(change.id), origin, read_at)
        return self._translation.command(change.record, origin, read_at)

    def _removal(self, stream: str, origin: Origin, read_at: int) -> RemoveRecord:
        removed = LegacyRecordRemoved(origin, self._translation.collection)
        return RemoveRecord(stream, removed, read_at, self._translation.system)


class _Batch:
    """Records in the writer's hands, their commands, and the outcomes, all in the same order."""

    def __init__(self, records: Sequence[bytes | None], commands: Sequence[Command]) -> None:
        self.records = records
        self.commands = list(commands)
        self.events = [_event(command) for command in commands]
        self._outcomes: list[Outcome | Exception] = []
        self._done = Signal()
        if not self.commands:
            self._done.set()

    def record(self, place: int) -> bytes:
        record = self.records[place]
        assert record is not None, "a removal is never refused"
        return record

    def answered(self, outcome: Outcome | Exception) -> None:
        self._outcomes.append(outcome)
        if len(self._outcomes) == len(self.commands):
            self._done.set()

    def outcomes(self) -> Sequence[Outcome | Exception]:
        """Waits for all of them."""
        self._done.wait()
        return self._outcomes

    def replace(self, place: int, command: Command, outcome: Outcome | Exception) -> None:
        """Another command was decided in the place of one that was refused."""
        self.commands[place], self._outcomes[place] = command, outcome

    def streams_without_object_id(self) -> Iterable[str]:
        streams = (
            command.ticket_id for command in self.commands if isinstance(command, QuarantineRecord)
        )
        return (stream for stream in streams if not ObjectId.is_valid(stream))


def _event(command: Command) -> Event:
    return command.removed if isinstance(command, RemoveRecord) else event_of(command)
