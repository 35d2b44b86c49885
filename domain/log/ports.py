"""The ports of the domain: a clock, and a totally ordered log of events."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from zlib import crc32

from domain.errors import EventUnreadable, Refusal, UnknownFeature, UnknownSystem
from domain.ticket.events import Recorded


class Clock(Protocol):
    def __call__(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class ItemAnswer:
    """The answer to one item of a list: `refusal`, or else the ticket `ticket_id` as it was at
    `version`, after `appended` new events."""

    ticket_id: str
    version: int
    position: int
    appended: int
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a command with an idempotency key, stored so that a repetition gets it again.

    It is `refusal`, or else `items`, or else the ticket `ticket_id` as it was at `version`.
    `fingerprint` identifies the command, or the list, that the key was first used for.
    `catalogue` is the digest of the catalogue that lacked a system or a feature: under another one
    the command is decided again, and the new answer is stored beside this one, under `next_key`.
    """

    key: str
    fingerprint: str
    ticket_id: str
    version: int
    position: int
    refusal: Refusal | None
    items: tuple[ItemAnswer, ...] = ()
    catalogue: str | None = None

    @property
    def is_of_catalogue(self) -> bool:
        """Whether it depends on the catalogue; so do refusals that are stored without a digest."""
        return isinstance(self.refusal, UnknownSystem | UnknownFeature)

    @property
    def next_key(self) -> str:
        """The key of the answer that came after this one, if any did. No caller can send it."""
        key, _, number = self.key.partition("\n")
        return f"{key}\n{int(number or 0) + 1}"

    @property
    def ticket_ids(self) -> Collection[str]:
        """The tickets that the answer shows as they were."""
        if self.items:
            return {item.ticket_id for item in self.items if item.refusal is None}
        return () if self.refusal else (self.ticket_id,)


@dataclass(frozen=True, slots=True)
class Partition:
    """Partition `number` of `of`: the tickets whose id hashes to it; stable for ever."""

    number: int
    of: int

    def holds(self, ticket_id: str) -> bool:
        """True if the ticket is in this partition."""
        return self.of == 1 or crc32(ticket_id.encode()) % self.of == self.number


@dataclass(frozen=True, slots=True)
class LogSlice:
    """The events of one partition in a slice of the log that ends at position `upto`. Events that
    cannot be read are in `unreadable`."""

    upto: int
    events: Sequence[Recorded]
    unreadable: Sequence[EventUnreadable]


class EventLog(Protocol):
    """The totally ordered log of ticket events.

    Positions are given out in commit order and become visible in that order, without gaps: once a
    reader has seen position n, no new event ever appears at or below n.
    Every method raises `StoreUnavailable` when the store does not answer.
    """

    def head(self) -> int:
        """The position of the last event that is stored durably; 0 for an empty log."""

    def read(self, after: int, limit: int) -> Sequence[Recorded]:
        """At most `limit` events after position `after`, in order. They end before an event that
        cannot be read. Raises `EventUnreadable` when that is the first of them."""

    def read_partition(self, partition: Partition, after: int, limit: int) -> LogSlice:
        """The events of a partition at the `limit` positions after `after`, or up to the head."""

    def histories(self, ticket_ids: Collection[str]) -> Mapping[str, Sequence[Recorded]]:
        """Every event of each ticket, oldest first; tickets without events are left out.
        Raises `EventUnreadable`."""

    def fragments(
        self, ticket_ids: Collection[str]
    ) -> Mapping[str, Sequence[Recorded | EventUnreadable]]:
        """The same, with an error in the place of each event that cannot be read."""

    def answers(self, keys: Collection[str]) -> Mapping[str, Answer]:
        """The answers stored under these idempotency keys."""

    def commit(self, after: int, events: Sequence[Recorded], answers: Sequence[Answer]) -> None:
        """Store events and answers durably, all or nothing.

        The events must carry positions `after + 1, after + 2, …`. Raises `HeadMoved` when the log
        does not end at `after`, or an answer's key is taken: read on and decide again.
        """
