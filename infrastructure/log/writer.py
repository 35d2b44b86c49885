"""The writer of a process: it decides commands in turn and commits them in batches."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from domain.catalogue import Catalogue
from domain.deciding import Answered, Batch, Key, Outcome, Submission, Submitted, recalled
from domain.errors import EventUnreadable, HeadMoved, StoreCorrupt, StoreUnavailable
from domain.log.ports import Answer, Clock, EventLog
from domain.origin import milliseconds
from domain.ticket.commands import Command, CreateTicket, ImportTicket, QuarantineRecord
from domain.ticket.events import Recorded
from domain.ticket.stream import UNBEGUN, Stream, stream_of
from infrastructure.log.group_commit import BATCH, GroupCommit

REMEMBERED: Final = 50_000
"""Most tickets whose state is kept in memory between batches, by default."""

_CATCH_UP: Final = 1_000
"""Events of other processes up to which the states in memory are brought up to date; with more,
they are dropped and read again."""

_IMPORTS: Final = (ImportTicket, QuarantineRecord)


class Writer:
    """Decides submissions in arrival order, each on the state that the one before it left.

    A commit succeeds only if no other process has appended meanwhile, so the states in memory are
    exact whenever a commit succeeds. A batch without events asks the log for its head instead. When
    another process did append, the writer reads those events and decides the batch again. A refused
    submission does not affect the others.

    - `committed`: called with each batch's events once they are durable. It must not raise.
    - `batch`: most submissions in one commit.
    - `check`: called before each commit with the time of the log's last event. What it raises
      cancels the commit.
    """

    def __init__(
        self,
        log: EventLog,
        catalogue: Callable[[], Catalogue],
        clock: Clock,
        committed: Callable[[Sequence[Recorded]], None],
        remembered: int = REMEMBERED,
        batch: int = BATCH,
        *,
        check: Callable[[datetime], None] | None = None,
    ) -> None:
        self._log = log
        self._check = check
        self._catalogue = catalogue
        self._clock = clock
        self._committed = committed
        self._head: int | None = None
        self._last_recorded = datetime.min.replace(tzinfo=UTC)
        self._states: OrderedDict[str, Stream] = OrderedDict()
        self._imports_are_new = False
        self._remembered = remembered
        self._group = GroupCommit(self._settle, name="writer", batch=batch)

    def hand_in(self, submission: Submitted, tell: Callable[[Outcome | Exception], object]) -> None:
        """Queue a submission. `tell` is called with its outcome or exception, on the writer's
        thread; it must be quick."""
        self._group.hand_in(submission, tell)

    def hand_in_all(
        self, submissions: Sequence[Submitted], tell: Callable[[Outcome | Exception], object]
    ) -> None:
        """Like `hand_in`, for many submissions; `tell` is called for each, in order."""
        self._group.hand_in_all(submissions, tell)

    def submit(self, submission: Submitted) -> Future[Outcome]:
        """A future of the outcome. It fails with `Refusal`, `KeyReused` or `StoreUnavailable`."""
        return self._group.submit(submission)

    def execute(self, *commands: Command, key: Key | None = None) -> Outcome:
        """Submit the commands together, and wait for the outcome."""
        return self.submit(Submission(commands, key)).result()

    def close(self) -> None:
        """Finish the submitted commands, then stop."""
        self._group.close()

    def _settle(self, submissions: Sequence[Submitted]) -> Sequence[Outcome | Exception]:
        try:
            return self._commit(submissions)
        except StoreUnavailable:
            raise
        except Exception as error:  # a ticket cannot be read, or no store can hold an event
            if len(submissions) == 1:
                return [error]
            return [result for submission in submissions for result in self._settle([submission])]

    def _commit(self, submissions: Sequence[Submitted]) -> Sequence[Outcome | Exception]:
        presuming = True
        while True:
            if self._head is None:
                self._find_head()
            batch = self._decide(submissions, presuming)
            presuming = False
            if batch.presumed_in_vain():
                continue
            try:
                if not batch.events and self._log.head() != batch.after:
                    raise HeadMoved("a refused command may be right by now")
                if batch.events and self._check:
                    self._check(self._last_recorded)
                if batch.events or batch.answers:
                    self._log.commit(batch.after, batch.events, batch.answers)
            except HeadMoved:
                self._rebase()
                continue
            self._keep(batch)
            return batch.results

    def _decide(self, submissions: Sequence[Submitted], presuming: bool) -> Batch:
        """Decide the submissions. If `presuming`, assume that a ticket to be created does not
        exist: the log refuses its first event if it does, and then it is loaded. The same for a
        ticket to be imported, if the last ones that were loaded did not exist: a migration imports
        many tickets, mostly new ones."""
        assert self._head is not None
        commands = [command for submission in submissions for command in submission.commands]
        wanted = {command.ticket_id for command in commands}
        imported = {c.ticket_id for c in commands if isinstance(c, _IMPORTS)}
        new = {c.ticket_id for c in commands if isinstance(c, CreateTicket)}
        if self._imports_are_new:
            new |= imported
        presumed = (
            {ticket_id for ticket_id in new if ticket_id not in self._states}
            if presuming
            else set[str]()
        )
        states = self._load(wanted, presumed)
        if loaded := [
            ticket_id for ticket_id in imported - presumed if ticket_id not in self._states
        ]:
            self._imports_are_new = all(states[ticket_id] is UNBEGUN for ticket_id in loaded)
        batch = Batch(
            after=self._head,
            now=max(milliseconds(self._clock()), self._last_recorded),
            catalogue=self._catalogue(),
            states=states,
            presumed=presumed,
        )
        answered = self._answered(submissions)
        for submission in submissions:
            batch.take(submission, answered)
        return batch

    def _load(self, wanted: set[str], presumed: set[str]) -> dict[str, Stream]:
        """The states before the batch, read from the log unless they are known or presumed new."""
        # not `wanted - self._states.keys()`: that visits all states, for every batch
        unknown = {ticket_id for ticket_id in wanted - presumed if ticket_id not in self._states}
        states = {ticket_id: self._states.get(ticket_id, UNBEGUN) for ticket_id in wanted}
        histories = self._log.histories(unknown)
        states.update((ticket_id, stream_of(history)) for ticket_id, history in histories.items())
        return states

    def _answered(self, submissions: Sequence[Submitted]) -> dict[str, Answered]:
        """The newest answers to earlier submissions with the keys of the batch."""
        answers: dict[str, Answer] = {}
        keys = {s.key.value: s.key.value for s in submissions if s.key}
        while keys:
            stored = self._log.answers(set(keys))
            answers |= {keys[key]: answer for key, answer in stored.items()}
            keys = {
                answer.next_key: keys[key]
                for key, answer in stored.items()
                if answer.is_of_catalogue
            }
        ticket_ids = {ticket_id for answer in answers.values() for ticket_id in answer.ticket_ids}
        histories = self._log.histories(ticket_ids)
        return {key: (answer, recalled(answer, histories)) for key, answer in answers.items()}

    def _keep(self, batch: Batch) -> None:
        for ticket_id, state in batch.states.items():
            self._states[ticket_id] = state
            self._states.move_to_end(ticket_id)
        while len(self._states) > self._remembered:
            self._states.popitem(last=False)
        if batch.events:
            self._head = batch.events[-1].position
            self._last_recorded = batch.now
            self._committed(batch.events)

    def _find_head(self) -> None:
        self._head = self._log.head()
        if self._head:
            with suppress(EventUnreadable, IndexError):  # unreadable, or gone: its time is a guard
                self._last_recorded = self._log.read(self._head - 1, 1)[0].recorded_at

    def _rebase(self) -> None:
        """Read the events that other processes appended, or that we did without an
        acknowledgement."""
        assert self._head is not None
        end = self._log.head()  # before reading, so that all events up to it are visible
        try:
            foreign = self._log.read(self._head, _CATCH_UP)
        except EventUnreadable as error:
            self._states.pop(error.ticket_id, None)
            self._head = error.position
            return
        if not foreign and end != self._head:
            raise StoreCorrupt(
                f"The log ends at {end} and this process knows of events up to {self._head}: they "
                "were removed, or its end was changed. Nothing was stored. Stop the service, run "
                "ticketbook audit verify, and restore the log from a backup where it names a "
                "position."
            )
        if len(foreign) == _CATCH_UP:  # far behind: start from the head again
            self._head = None
            self._states.clear()
            return
        for recorded in foreign:
            if state := self._states.get(recorded.ticket_id):
                self._states[recorded.ticket_id] = state.after(recorded)
            self._head, self._last_recorded = recorded.position, recorded.recorded_at
