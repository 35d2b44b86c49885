"""The contract both stores keep: a totally ordered, durable log of stored events.

It speaks `eventsourcing`'s own record types, so that a store is usable by that library too.
`tests/stores/test_ordered_log.py` is the contract as tests, run against every store.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from eventsourcing.persistence import Notification, StoredEvent

from domain.errors import HeadMoved
from domain.log.chain import Head, Link, next_hash


@dataclass(frozen=True)
class Chained(Notification):
    """A stored event in its place in the log, with its hash in the chain (`domain/chain.py`)."""

    hash: bytes


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The recorded answer of one idempotency key."""

    key: str
    body: bytes


class StreamTaken(HeadMoved):
    """These (originator id, version) pairs are already in the log."""

    def __init__(self, taken: Collection[tuple[Any, int]]) -> None:
        super().__init__(f"already recorded: {sorted(map(str, taken))[:3]}")
        self.taken = frozenset(taken)


class KeyTaken(HeadMoved):
    """One of the idempotency keys already has an answer."""


class OrderedLog(Protocol):
    """A log whose positions 1, 2, 3 … are handed out and become visible in commit order.

    Reads see only what cannot be lost any more. Every method raises `StoreUnavailable` when the
    store does not answer in time, and may be called from any thread.
    """

    def head(self) -> int:
        """Position of the last event; 0 when there is none. Never given out twice."""

    def ending(self) -> Head:
        """The position of the last event, with its hash."""

    def read(
        self, after: int, limit: int, *, upto: int | None = None, topics: Sequence[str] = ()
    ) -> Sequence[Chained]:
        """At most `limit` events with `after < position <= upto`, of these topics, in order."""

    def at(self, positions: Collection[int]) -> Sequence[Chained]:
        """The events at these positions, in order; those that are not there are left out."""

    def scan(self) -> Iterator[Link]:
        """Everything that is stored, as it is stored and in order of position: also what stands
        twice, in a wrong place, beyond the end, or makes no sense. Raises `ChainBroken` where the
        store's own bookkeeping contradicts it. At least up to the end at the time of the call."""

    def streams(self, originator_ids: Collection[Any]) -> Sequence[Chained]:
        """Every event of these streams, by position."""

    def answers(self, keys: Collection[str]) -> Mapping[str, bytes]:
        """The stored answers among these keys."""

    def commit(
        self, after: int, events: Sequence[StoredEvent], answers: Sequence[StoredAnswer] = ()
    ) -> Sequence[bytes]:
        """Append events at positions `after + 1 …` and keep the answers: all or nothing, durably.
        Returns the events' hashes, each chained onto that of the event before it.

        Raises `HeadMoved` when the log does not end at `after`, `StreamTaken` when a version
        exists already (or stands twice in `events`), `KeyTaken` when a key has its answer (or
        stands twice in `answers`); when several apply, any of them.
        `StoreUnavailable` leaves open whether the commit happened.
        """


def chained(previous: Head, events: Sequence[StoredEvent]) -> list[bytes]:
    """The hashes of events that follow `previous`. Raises `OverflowError`, see `next_hash`."""
    position, last = previous
    hashes: list[bytes] = []
    for event in events:
        position += 1
        last = next_hash(
            last,
            position,
            event.originator_id,
            event.originator_version,
            event.topic,
            event.state,
        )
        hashes.append(last)
    return hashes


def check_batch(events: Sequence[StoredEvent], answers: Sequence[StoredAnswer]) -> None:
    """Refuse a batch that is at odds with itself, as `OrderedLog.commit` promises."""
    places = Counter((event.originator_id, event.originator_version) for event in events)
    if len(places) < len(events):
        raise StreamTaken([place for place, times in places.items() if times > 1])
    if len({answer.key for answer in answers}) < len(answers):
        raise KeyTaken("a key stands twice among the answers")
