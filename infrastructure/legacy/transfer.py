"""Taking all records of a source over: many at a time, none remembered."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Event
from typing import Any, Final

from bson import ObjectId

from domain.commands import ImportTicket, QuarantineRecord
from domain.errors import EventTooLarge, SourceUnusable, TicketExists
from domain.origin import Origin
from domain.ports import EventLog
from infrastructure.batch import Outcome, Submission
from infrastructure.legacy.chunks import chunks
from infrastructure.legacy.fit import Fit
from infrastructure.legacy.lenient import id_of
from infrastructure.legacy.records import Translation
from infrastructure.legacy.tally import Tally
from infrastructure.writer import Writer

_TOGETHER: Final = 1_000

_AHEAD: Final = 3
"""Batches that are translated while the first of them is being committed."""

Command = ImportTicket | QuarantineRecord


class Transfer:
    """Translates records and has them written, batch by batch.

    `again` takes over, as they stand by then, the records of these ids: those that somebody else
    took over since they were read, because the old system is still at work and may be followed
    meanwhile. None for a source that can not change.
    """

    def __init__(
        self,
        writer: Writer,
        log: EventLog,
        translation: Translation,
        origin: Callable[[], Origin],
        again: Callable[[Sequence[Any]], object] | None,
    ) -> None:
        self._writer = writer
        self._log = log
        self._translation = translation
        self._origin = origin
        self._again = again
        self.tally = Tally(Fit(translation.catalogue, translation.system))
        self.odd: set[str] = set()
        """Streams of records whose `_id` is no ObjectId."""

    def take(self, records: Iterable[bytes], tell: Callable[[Tally], None]) -> Tally:
        """Take all over. Safe to interrupt anywhere, and to do again: what was taken over already
        changes nothing. Raises what the source raises, and `StoreUnavailable`."""
        pending: list[_Batch] = []
        read_at = self._log.head()
        for some in chunks(records, _TOGETHER):
            pending.append(self._hand_in(some, read_at))
            if len(pending) == _AHEAD:
                self._settle(pending.pop(0), read_at)
                tell(self.tally)
        for batch in pending:
            self._settle(batch, read_at)
        tell(self.tally)
        return self.tally

    def _hand_in(self, records: Sequence[bytes], read_at: int) -> "_Batch":
        origin = self._origin()
        since = read_at if self._again else None
        commands = [self._translation.command(record, origin, since) for record in records]
        self.odd.update(c.ticket_id for c in commands if not ObjectId.is_valid(c.ticket_id))
        batch = _Batch(records, commands)
        self._writer.hand_in_all([Submission((command,)) for command in commands], batch.answered)
        return batch

    def _settle(self, batch: "_Batch", read_at: int) -> None:
        overtaken: list[Any] = []
        for record, command, outcome in batch.outcomes():
            if isinstance(outcome, TicketExists):
                command = self._translation.quarantine(record, str(outcome), self._origin())
                outcome = self._writer.execute(command)
            if isinstance(outcome, EventTooLarge):
                raise SourceUnusable(
                    f"The record {command.ticket_id} is too large to be kept. {outcome} Take it "
                    "out of the source, where a backup keeps it, and run again; or take over into "
                    "a SQLite store, which holds it."
                )
            if isinstance(outcome, Exception):
                raise outcome
            if not outcome.appended and self._again and outcome.position > read_at:
                overtaken.append(id_of(record))
            self.tally.add(_event(command) if outcome.appended else None)
        if overtaken and self._again:
            self._again(overtaken)


class _Batch:
    """Commands in the writer's hands, and what became of them, in the order they were handed in."""

    def __init__(self, records: Sequence[bytes], commands: Sequence[Command]) -> None:
        self._records = records
        self._commands = commands
        self._answers: list[Outcome | Exception] = []
        self._done = Event()

    def answered(self, answer: Outcome | Exception) -> None:
        self._answers.append(answer)
        if len(self._answers) == len(self._commands):
            self._done.set()

    def outcomes(self) -> Iterator[tuple[bytes, Command, Outcome | Exception]]:
        """Waits for all of them."""
        self._done.wait()
        yield from zip(self._records, self._commands, self._answers, strict=True)


def _event(command: Command) -> Any:
    return command.imported if isinstance(command, ImportTicket) else command.quarantined
