"""Submissions of commands, and the decisions about a batch of them: no I/O, no clock, no
threads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.catalogue import Catalogue
from domain.errors import KeyReused, Refusal
from domain.log.ports import Answer, ItemAnswer
from domain.ticket.commands import Command
from domain.ticket.events import Recorded
from domain.ticket.handlers import decide
from domain.ticket.state import Ticket, fold
from domain.ticket.stream import Stream
from domain.value import value


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key. `fingerprint` is a hash of the whole command as the caller sent it."""

    value: str
    fingerprint: str


@value
class Submission:
    """Commands that are accepted or refused together. With a `key` they may safely be repeated."""

    commands: tuple[Command, ...]
    key: Key | None = None


@value
class SubmissionList:
    """Submissions that are decided in turn and committed together, under one key. Each of `items`
    has a result of its own; if `atomic`, the first refusal is the result of the list."""

    items: tuple[tuple[Command, ...], ...]
    atomic: bool = False
    key: Key | None = None

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands of all items, in order."""
        return tuple(command for item in self.items for command in item)


Submitted = Submission | SubmissionList


@value
class Outcome:
    """The result of an accepted submission.

    - `ticket`: the last command's ticket as it is now (None for a quarantined record).
    - `position`: the position of that ticket's last event. A view at this position shows it.
    - `appended`: the number of events that the submission added; 0 when nothing changed.
    - `replayed`: True if an earlier submission with the same key got this answer.
    - `before`: the last command's stream before the submission; None if `replayed`.
    - `items`: the results of a list. Its `position` is the last of theirs, and it has no ticket.
    """

    ticket_id: str
    ticket: Ticket | None
    version: int
    position: int
    appended: int
    replayed: bool = False
    before: Stream | None = field(default=None, compare=False)
    items: "tuple[Outcome | Refusal, ...]" = ()


Answered = tuple[Answer, Outcome | Refusal]
"""The answer stored under a key, and the result to return for it."""


class Batch:
    """Decisions that are committed together: their events, their answers, and the states after
    them."""

    def __init__(
        self,
        after: int,
        now: datetime,
        catalogue: Catalogue,
        states: dict[str, Stream],
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
        """True if a ticket was assumed to be new but got no event, so that no unique index checks
        the assumption."""
        return not self.presumed <= {recorded.ticket_id for recorded in self.events}

    def take(self, submission: Submitted, answered: dict[str, Answered]) -> None:
        """Decide one submission, unless its key was answered before. A refusal for what another
        catalogue lacked is no answer under this one."""
        key = submission.key
        earlier: Answer | None = None
        if key and key.value in answered:
            earlier, result = answered[key.value]
            if earlier.fingerprint != key.fingerprint:
                self.results.append(_reused(key))
                return
            if not earlier.is_of_catalogue or earlier.catalogue == self.catalogue.digest:
                self.results.append(result)
                return
        if isinstance(submission, SubmissionList):
            result = self._decide_list(submission)
        else:
            result = self._decide(submission.commands)
        self.results.append(result)
        if key:
            answer = _answer(key, submission, result)
            if answer.is_of_catalogue:
                answer = replace(answer, catalogue=self.catalogue.digest)
            if earlier:
                answer = replace(answer, key=earlier.next_key)
            self.answers.append(answer)
            answered[key.value] = (answer, replayed(result))

    def _decide_list(self, submissions: SubmissionList) -> Outcome | Refusal:
        """Decide item by item, each on the state that the one before it left."""
        states = {
            command.ticket_id: self.states[command.ticket_id] for command in submissions.commands
        }
        events = len(self.events)
        results: list[Outcome | Refusal] = []
        for number, commands in enumerate(submissions.items):
            result = self._decide(commands)
            if isinstance(result, Refusal):
                result = result.below(f"/items/{number}")
                if submissions.atomic:
                    self.states.update(states)
                    del self.events[events:]
                    return result
            results.append(result)
        return _outcome_of_list(results)

    def _decide(self, commands: tuple[Command, ...]) -> Outcome | Refusal:
        states, events = dict[str, Stream](), list[Recorded]()
        position = self.after + len(self.events)
        try:
            for command in commands:
                state = states.get(command.ticket_id) or self.states[command.ticket_id]
                for event in decide(command, state, self.catalogue):
                    position += 1
                    recorded = Recorded(
                        position, command.ticket_id, state.version + 1, self.now, event
                    )
                    events.append(recorded)
                    state = state.after(recorded)
                states[command.ticket_id] = state
        except Refusal as refusal:
            return refusal.with_traceback(None)  # a traceback would keep the batch in memory
        before = self.states[command.ticket_id]
        self.states.update(states)
        self.events.extend(events)
        return Outcome(
            command.ticket_id,
            state.ticket,
            state.version,
            state.position,
            len(events),
            before=before,
        )


def _outcome_of_list(results: Sequence[Outcome | Refusal], *, replayed: bool = False) -> Outcome:
    accepted = [result for result in results if isinstance(result, Outcome)]
    return Outcome(
        ticket_id="",
        ticket=None,
        version=0,
        position=max((outcome.position for outcome in accepted), default=0),
        appended=0 if replayed else sum(outcome.appended for outcome in accepted),
        replayed=replayed,
        items=tuple(results),
    )


def _answer(key: Key, submission: Submitted, result: Outcome | Refusal) -> Answer:
    if isinstance(result, Refusal):
        ticket_id = submission.commands[-1].ticket_id
        return Answer(key.value, key.fingerprint, ticket_id, 0, 0, result)
    return Answer(
        key.value,
        key.fingerprint,
        result.ticket_id,
        result.version,
        result.position,
        None,
        tuple(map(_item_answer, result.items)),
    )


def _item_answer(result: Outcome | Refusal) -> ItemAnswer:
    if isinstance(result, Refusal):
        return ItemAnswer("", 0, 0, 0, result)
    return ItemAnswer(result.ticket_id, result.version, result.position, result.appended, None)


def recalled(answer: Answer, histories: Mapping[str, Sequence[Recorded]]) -> Outcome | Refusal:
    """The result of an earlier submission, from its stored answer and its tickets' histories."""
    if answer.refusal:
        return replayed(answer.refusal)
    if answer.items:
        results = [item.refusal or _recalled_ticket(item, histories) for item in answer.items]
        return _outcome_of_list(results, replayed=True)
    return _recalled_ticket(answer, histories)


def _recalled_ticket(
    answer: Answer | ItemAnswer, histories: Mapping[str, Sequence[Recorded]]
) -> Outcome:
    history = histories.get(answer.ticket_id, ())
    ticket = fold(recorded for recorded in history if recorded.version <= answer.version)
    appended = answer.appended if isinstance(answer, ItemAnswer) else 0
    return Outcome(
        answer.ticket_id, ticket, answer.version, answer.position, appended, replayed=True
    )


def replayed(result: Outcome | Refusal) -> Outcome | Refusal:
    """The same result, marked as a repetition."""
    if isinstance(result, Refusal):
        return type(result)(result.detail, result.faults, result.version, replayed=True)
    if result.items:
        return _outcome_of_list(result.items, replayed=True)
    return Outcome(
        result.ticket_id, result.ticket, result.version, result.position, 0, replayed=True
    )


def _reused(key: Key) -> KeyReused:
    return KeyReused(
        "This idempotency key was first used for a different command. Use a new key for a new one."
    )
