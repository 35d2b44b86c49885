"""Submissions of commands, and the decisions about a batch of them: no I/O, no clock, no
threads."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from domain.catalogue import Catalogue
from domain.errors import KeyReused, Refusal
from domain.log.ports import Answer
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
class Outcome:
    """The result of an accepted submission.

    - `ticket`: the last command's ticket as it is now (None for a quarantined record).
    - `position`: the position of that ticket's last event. A view at this position shows it.
    - `appended`: the number of events that the submission added; 0 when nothing changed.
    - `replayed`: True if an earlier submission with the same key got this answer.
    - `before`: the last command's stream before the submission; None if `replayed`.
    """

    ticket_id: str
    ticket: Ticket | None
    version: int
    position: int
    appended: int
    replayed: bool = False
    before: Stream | None = field(default=None, compare=False)


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

    def take(self, submission: Submission, answered: dict[str, Answered]) -> None:
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
            answered[key.value] = (answer, replayed(result))

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


def _answer(key: Key, submission: Submission, result: Outcome | Refusal) -> Answer:
    if isinstance(result, Refusal):
        ticket_id = submission.commands[-1].ticket_id
        return Answer(key.value, key.fingerprint, ticket_id, 0, 0, result)
    return Answer(
        key.value, key.fingerprint, result.ticket_id, result.version, result.position, None
    )


def recalled(answer: Answer, history: Iterable[Recorded]) -> Outcome:
    """The outcome of an earlier submission, from its stored answer and its ticket's history."""
    ticket = fold(recorded for recorded in history if recorded.version <= answer.version)
    return Outcome(answer.ticket_id, ticket, answer.version, answer.position, 0, replayed=True)


def replayed(result: Outcome | Refusal) -> Outcome | Refusal:
    """The same result, marked as a repetition."""
    if isinstance(result, Refusal):
        return type(result)(result.detail, result.faults, result.version, replayed=True)
    return Outcome(
        result.ticket_id, result.ticket, result.version, result.position, 0, replayed=True
    )


def _reused(key: Key) -> KeyReused:
    return KeyReused(
        "This idempotency key was first used for a different command. Use a new key for a new one."
    )
