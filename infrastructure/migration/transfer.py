"""Taking all records of a source over: many at a time, none remembered."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, Future
from threading import Event as Signal
from typing import Any, Final

from bson import ObjectId

from domain.deciding import Outcome, Submission
from domain.errors import EventTooLarge, SourceUnusable, StoreUnavailable, TicketExists
from domain.origin import Origin
from domain.ticket.commands import ImportTicket, QuarantineRecord, event_of
from domain.ticket.events import Event
from infrastructure.log.ticket_log import TicketLog
from infrastructure.log.writer import Writer
from infrastructure.migration.bson import id_of
from infrastructure.migration.chunks import ahead, parts
from infrastructure.migration.counts import Tally
from infrastructure.migration.records import Translation
from infrastructure.migration.system_match import SystemMatch
from infrastructure.migration.translators import Translate, Translated

_TOGETHER: Final = 1_000
"""Most records in a batch."""

_LENGTH: Final = 2 * 1024 * 1024
"""Most bytes in a batch, unless a record alone has more."""

_AHEAD: Final = 3
"""Most batches that are being translated, and as many that are being committed."""

Command = ImportTicket | QuarantineRecord


class Transfer:
    """Has records translated and written, batch by batch.

    `again` takes over, as they stand by then, the records of these ids: those that somebody else
    took over since they were read, because the old system is still at work and may be followed
    meanwhile. None for a source that cannot change.
    """

    def __init__(
        self,
        writer: Writer,
        log: TicketLog,
        translation: Translation,
        translate: Translate,
        origin: Callable[[], Origin],
        again: Callable[[Sequence[Any]], object] | None,
    ) -> None:
        self._writer = writer
        self._log = log
        self._translation = translation
        self._translate = translate
        self._origin = origin
        self._again = again
        self.tally = Tally(SystemMatch(translation.catalogue, translation.system))
        self.odd: set[str] = set()
        """Streams of records whose `_id` is no ObjectId."""

    def take(self, records: Iterable[bytes], tell: Callable[[Tally], None]) -> Tally:
        """Take all over. Safe to interrupt anywhere, and to do again: what was taken over already
        changes nothing. Raises what the source raises, and `StoreUnavailable`."""
        read_at = self._log.head()
        since = read_at if self._again else None
        begun = (
            (some, self._translate(some, self._origin(), since))
            for some in parts(records, _TOGETHER, _LENGTH)
        )
        handed_in = (self._hand_in(*one) for one in ahead(begun, _AHEAD))
        for batch in ahead(handed_in, _AHEAD):
            self._settle(batch, read_at)
            tell(self.tally)
        return self.tally

    def _hand_in(self, records: Sequence[bytes], translated: Future[Translated]) -> "_Batch":
        try:
            found = translated.result()
        except BrokenExecutor as error:
            raise StoreUnavailable(
                f"The process that translates the records ended ({error}). Run the same command "
                "again: what was taken over stays, and is skipped. If that happens again, see "
                "whether the machine has memory enough."
            ) from error
        commands = [command for command, _ in found]
        events = list(map(event_of, commands))
        self._log.prepare(zip(events, (encoded for _, encoded in found), strict=True))
        aside = (c.ticket_id for c in commands if isinstance(c, QuarantineRecord))
        self.odd.update(ticket_id for ticket_id in aside if not ObjectId.is_valid(ticket_id))
        batch = _Batch(records, events)
        self._writer.hand_in_all([Submission((command,)) for command in commands], batch.answered)
        return batch

    def _settle(self, batch: "_Batch", read_at: int) -> None:
        events, outcomes = list(batch.events), batch.outcomes()
        self._keep_aside(batch.records, events, outcomes)
        written: list[Event | None] = []
        overtaken: list[Any] = []
        for record, event, outcome in zip(batch.records, events, outcomes, strict=True):
            if isinstance(outcome, EventTooLarge):
                raise SourceUnusable(
                    f"The record {id_of(record)} is too large to be kept. {outcome} Take it "
                    "out of the source, where a backup keeps it, and run again; or take over into "
                    "a SQLite store, which holds it."
                )
            if isinstance(outcome, Exception):
                raise outcome
            if not outcome.appended and self._again and outcome.position > read_at:
                overtaken.append(id_of(record))
            written.append(event if outcome.appended else None)
        self._log.forget(batch.events)
        self.tally.add(written)
        if overtaken and self._again:
            self._again(overtaken)

    def _keep_aside(
        self, records: Sequence[bytes], events: list[Event], outcomes: list[Outcome | Exception]
    ) -> None:
        """Put records whose id belongs to somebody else's ticket into quarantine instead, and note
        what became of them."""
        origin = self._origin()
        aside = {
            number: self._translation.quarantine(records[number], str(outcome), origin)
            for number, outcome in enumerate(outcomes)
            if isinstance(outcome, TicketExists)
        }
        pending = [self._writer.submit(Submission((command,))) for command in aside.values()]
        for (number, command), future in zip(aside.items(), pending, strict=True):
            events[number], outcomes[number] = command.quarantined, future.result()


class _Batch:
    """Records in the writer's hands, the events they are to become, and what came of them, in the
    order they were handed in."""

    def __init__(self, records: Sequence[bytes], events: Sequence[Event]) -> None:
        self.records = records
        self.events = events
        self._answers: list[Outcome | Exception] = []
        self._done = Signal()

    def answered(self, answer: Outcome | Exception) -> None:
        self._answers.append(answer)
        if len(self._answers) == len(self.events):
            self._done.set()

    def outcomes(self) -> list[Outcome | Exception]:
        """Waits for all of them."""
        self._done.wait()
        return self._answers
