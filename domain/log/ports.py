"""What the domain needs from the outside to run: a clock and a totally ordered log."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from zlib import crc32

from domain.errors import EventUnreadable, Refusal
from domain.ticket.events import Recorded


class Clock(Protocol):
    def __call__(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command with an idempotency key was told, so that it can be told the same again.

    Either `refusal`, or the ticket `ticket_id` as it was at `version`. `fingerprint` identifies
    the command the key was first used for.
    """

    key: str
    fingerprint: str
    ticket_id: str
    version: int
    position: int
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class Partition:
    """One of `of` shares that all tickets are dealt out to: those whose id says `number`."""

    number: int
    of: int

    def holds(self, ticket_id: str) -> bool:
        """Whether the ticket is in this share; the same for ever, on every machine."""
        return self.of == 1 or crc32(ticket_id.encode()) % self.of == self.number


@dataclass(frozen=True, slots=True)
class LogSlice:
    """What a share has in a stretch of the log that ends at position `upto`: its events, and those
    of its events that cannot be read."""

    upto: int
    events: Sequence[Recorded]
    unreadable: Sequence[EventUnreadable]


class EventLog(Protocol):
    """The totally ordered log of ticket events.

    Once a reader has seen position n, nothing at or below n ever appears: positions are handed
    out in commit order and become visible in that order, without gaps.
    Every method raises `StoreUnavailable` when the store does not answer.
    """

    def head(self) -> int:
        """Position of the last event that cannot be lost any more; 0 for an empty log."""

    def read(self, after: int, limit: int) -> Sequence[Recorded]:
        """Up to `limit` events that follow position `after`, in order; fewer before one that cannot
        be read. Raises `EventUnreadable` when the very next one cannot."""

    def read_partition(self, partition: Partition, after: int, limit: int) -> LogSlice:
        """What a share has in the `limit` positions that follow `after`, or up to the head."""

    def histories(self, ticket_ids: Collection[str]) -> Mapping[str, Sequence[Recorded]]:
        """Every event of each ticket, oldest first; tickets without events are left out.
        Raises `EventUnreadable`."""

    def fragments(
        self, ticket_ids: Collection[str]
    ) -> Mapping[str, Sequence[Recorded | EventUnreadable]]:
        """The same, with what is wrong with it in the place of an event that cannot be read."""

    def answers(self, keys: Collection[str]) -> Mapping[str, Answer]:
        """The answers stored under these idempotency keys."""

    def commit(self, after: int, events: Sequence[Recorded], answers: Sequence[Answer]) -> None:
        """Store events and answers durably, all or nothing.

        The events must carry positions `after + 1, after + 2, …`. Raises `HeadMoved` when the log
        does not end at `after`, or an answer's key is taken: read on and decide again.
        """
