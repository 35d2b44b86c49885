"""The one writer of a process: it decides commands in turn and commits them together."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from domain.catalogue import Catalogue
from domain.commands import Command, CreateTicket
from domain.errors import EventUnreadable, HeadMoved, KeyReused, Refusal, StoreUnavailable
from domain.events import Recorded
from domain.handlers import decide
from domain.origin import milliseconds
from domain.ports import Answer, Clock, EventLog
from domain.ticket import Ticket, evolve, fold
from infrastructure.group_commit import GroupCommit

REMEMBERED: Final = 50_000
"""Most tickets whose state is kept in memory between batches."""

_CATCH_UP: Final = 1_000


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key, and what it stands for: a hash of the whole command as it was sent."""

    value: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Submission:
    """Commands that are accepted or refused as one. `key` makes repeating them harmless."""

    commands: tuple[Command, ...]
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a submission.

    - `ticket`: the last command's ticket as it now is (None for a quarantined record).
    - `position`: where the last event of that ticket stands in the log: wait for it to read it.
    - `appended`: how many events the submission added; 0 when nothing changed.
    - `replayed`: whether this is the answer an earlier submission with the same key got.
    """

    ticket_id: str
    ticket: Ticket | None
    version: int
    position: int
    appended: int
    replayed: bool = False


Result = Outcome | Refusal | KeyReused


class Writer:
    """Decides submissions in arrival order, each on the state that the one before it left.

    It owns the positions it commits: a commit succeeds only if nobody else appended since the
    writer last looked, so states kept in memory are exact whenever a commit succeeds; a batch
    that appends nothing asks the log whether that is so. When somebody else did append, it reads
    their events and decides the batch again. A refused submission never disturbs its neighbours.

    `committed` is called with each batch's events once they are durable. It must not raise.
    """

    def __init__(
        self,
        log: EventLog,
        catalogue: Callable[[], Catalogue],
        clock: Clock,
        committed: Callable[[Sequence[Recorded]], None],
    ) -> None:
        self._log = log
        self._catalogue = catalogue
        self._clock = clock
        self._committed = committed
        self._head: int | None = None
        self._last_recorded = datetime.min.replace(tzinfo=UTC)
        self._states: OrderedDict[str, _State] = OrderedDict()
        self._group = GroupCommit(self._settle, name="writer")

    def hand_in(
        self, submission: Submission, tell: Callable[[Outcome | Exception], object]
    ) -> None:
        """`tell` gets the outcome or the exception, on the writer's thread; it must be quick."""
        self._group.hand_in(submission, tell)

    def submit(self, submission: Submission) -> Future[Outcome]:
        """The future outcome, or its `Refusal`, `KeyReused`, `StoreUnavailable`."""
        return self._group.submit(submission)

    def execute(self, *commands: Command, key: Key | None = None) -> Outcome:
        """Submit and wait."""
        return self.submit(Submission(commands, key)).result()

    def close(self) -> None:
        """Finish what was submitted, then stop."""
        self._group.close()

    def _settle(self, submissions: Sequence[Submission]) -> Sequence[Outcome | Exception]:
        try:
            return self._commit(submissions)
        except StoreUnavailable:
            raise
        except Exception as error:  # a ticket that can not be read, or an event no store can hold
            if len(submissions) == 1:
                return [error]
            return [result for one in submissions for result in self._settle([one])]

    def _commit(self, submissions: Sequence[Submission]) -> Sequence[Outcome | Exception]:
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
                    raise HeadMoved("what was refused may be right by now")
                if batch.events or batch.answers:
                    self._log.commit(batch.after, batch.events, batch.answers)
            except HeadMoved:
                self._rebase()
                continue
            self._keep(batch)
            return batch.results

    def _decide(self, submissions: Sequence[Submission], presuming: bool) -> "_Batch":
        """When `presuming`, a ticket to be created is taken not to exist, without asking: the log
        refuses its first event if it does, and then it is loaded."""
        assert self._head is not None
        commands = [command for submission in submissions for command in submission.commands]
        wanted = {command.ticket_id for command in commands}
        new = {c.ticket_id for c in commands if presuming and isinstance(c, CreateTicket)}
        presumed = {ticket_id for ticket_id in new if ticket_id not in self._states}
        batch = _Batch(
            after=self._head,
            now=max(milliseconds(self._clock()), self._last_recorded),
            catalogue=self._catalogue(),
            states=self._load(wanted, presumed),
            presumed=presumed,
        )
        answered = self._answered(submissions)
        for submission in submissions:
            batch.take(submission, answered)
        return batch

    def _load(self, wanted: set[str], presumed: set[str]) -> dict[str, "_State"]:
        """The states the batch starts from, read from the log unless known or presumed new."""
        # not `wanted - self._states.keys()`: that walks all the states, for every batch
        unknown = {ticket_id for ticket_id in wanted - presumed if ticket_id not in self._states}
        histories = self._log.histories(unknown)
        states = {ticket_id: self._states.get(ticket_id) for ticket_id in wanted}
        return {
            ticket_id: state or _state(histories.get(ticket_id, ()))
            for ticket_id, state in states.items()
        }

    def _answered(self, submissions: Sequence[Submission]) -> dict[str, "_Answered"]:
        """What earlier submissions with the batch's keys were told."""
        answers = self._log.answers({s.key.value for s in submissions if s.key})
        told = [answer.ticket_id for answer in answers.values() if not answer.refusal]
        histories = self._log.histories(set(told))
        return {
            key: (
                answer,
                _again(answer.refusal)
                if answer.refusal
                else _recall(answer, histories.get(answer.ticket_id, ())),
            )
            for key, answer in answers.items()
        }

    def _keep(self, batch: "_Batch") -> None:
        for ticket_id, state in batch.states.items():
            self._states[ticket_id] = state
            self._states.move_to_end(ticket_id)
        while len(self._states) > REMEMBERED:
            self._states.popitem(last=False)
        if batch.events:
            self._head = batch.events[-1].position
            self._last_recorded = batch.now
            self._committed(batch.events)

    def _find_head(self) -> None:
        self._head = self._log.head()
        if self._head:
            with suppress(EventUnreadable):  # only its time was wanted
                self._last_recorded = self._log.read(self._head - 1, 1)[0].recorded_at

    def _rebase(self) -> None:
        """Take in what others appended, or a commit of ours whose acknowledgement got lost."""
        assert self._head is not None
        try:
            foreign = self._log.read(self._head, _CATCH_UP)
        except EventUnreadable as error:
            self._states.pop(error.ticket_id, None)
            self._head = error.position
            return
        if len(foreign) == _CATCH_UP:  # far behind: start from the head again
            self._head = None
            self._states.clear()
            return
        for recorded in foreign:
            if state := self._states.get(recorded.ticket_id):
                self._states[recorded.ticket_id] = state.after(recorded)
            self._head, self._last_recorded = recorded.position, recorded.recorded_at


@dataclass(frozen=True, slots=True)
class _State:
    """A stream's end: a quarantined record has a version and a position, but no ticket."""

    ticket: Ticket | None
    version: int
    position: int

    def after(self, recorded: Recorded) -> "_State":
        return _State(evolve(self.ticket, recorded), recorded.version, recorded.position)


def _state(history: Iterable[Recorded]) -> _State:
    state = _State(None, 0, 0)
    for recorded in history:
        state = state.after(recorded)
    return state


_Answered = tuple[Answer, Outcome | Refusal]
"""What stands under a key, and how it is told again."""


class _Batch:
    """Decisions taken together: what they append, what they answer, the states they leave."""

    def __init__(
        self,
        after: int,
        now: datetime,
        catalogue: Catalogue,
        states: dict[str, _State],
        presumed: set[str],
    ) -> None:
        self.after = after
        self.now = now
        self.catalogue = catalogue
        self.states = states
        self.presumed = presumed
        self.events: list[Recorded] = []
        self.answers: list[Answer] = []
        self.results: list[Outcome | Exception] = []

    def presumed_in_vain(self) -> bool:
        """Whether a ticket was presumed new and then not created: nothing puts that to the test."""
        return not self.presumed <= {recorded.ticket_id for recorded in self.events}

    def take(self, submission: Submission, answered: dict[str, _Answered]) -> None:
        """Decide one submission, unless its key was answered before."""
        key = submission.key
        if key and key.value in answered:
            answer, result = answered[key.value]
            self.results.append(result if answer.fingerprint == key.fingerprint else _reused(key))
            return
        result = self._decide(submission.commands)
        self.results.append(result)
        if key:
            answer = _answer(key, submission, result)
            self.answers.append(answer)
            answered[key.value] = (answer, _again(result))

    def _decide(self, commands: tuple[Command, ...]) -> Outcome | Refusal:
        states, events = dict[str, _State](), list[Recorded]()
        position = self.after + len(self.events)
        try:
            for command in commands:
                state = states.get(command.ticket_id) or self.states[command.ticket_id]
                for event in decide(command, state.ticket, self.catalogue):
                    position += 1
                    recorded = Recorded(
                        position, command.ticket_id, state.version + 1, self.now, event
                    )
                    events.append(recorded)
                    state = state.after(recorded)
                states[command.ticket_id] = state
        except Refusal as refusal:
            return refusal
        self.states.update(states)
        self.events.extend(events)
        return Outcome(command.ticket_id, state.ticket, state.version, state.position, len(events))


def _answer(key: Key, submission: Submission, result: Outcome | Refusal) -> Answer:
    if isinstance(result, Refusal):
        ticket_id = submission.commands[-1].ticket_id
        return Answer(key.value, key.fingerprint, ticket_id, 0, 0, result)
    return Answer(
        key.value, key.fingerprint, result.ticket_id, result.version, result.position, None
    )


def _recall(answer: Answer, history: Iterable[Recorded]) -> Outcome:
    ticket = fold(recorded for recorded in history if recorded.version <= answer.version)
    return Outcome(answer.ticket_id, ticket, answer.version, answer.position, 0, replayed=True)


def _again(result: Outcome | Refusal) -> Outcome | Refusal:
    if isinstance(result, Refusal):
        return type(result)(result.detail, result.faults, result.version, replayed=True)
    return Outcome(
        result.ticket_id, result.ticket, result.version, result.position, 0, replayed=True
    )


def _reused(key: Key) -> KeyReused:
    return KeyReused(
        "This idempotency key was first used for a different command. Use a new key for a new one."
    )
