"""The contract of both stores: a totally ordered, durable log of stored events.

It uses the record types of `eventsourcing`, so that this library can use a store too. The tests of
the contract, `tests/stores/test_ordered_log.py`, run against every store.
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
    """A stored event with its position, and its hash in the chain (`domain/log/chain.py`)."""

    hash: bytes


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The stored answer of one idempotency key."""

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
    """A log whose positions 1, 2, 3 … are given out and become visible in commit order.

    Reads see only events that are stored durably. Every method may be called from any thread, and
    raises `StoreUnavailable` when the store does not answer in time.
    """

    def head(self) -> int:
        """The position of the last event; 0 when there is none. It is never given out twice."""

    def ending(self) -> Head:
        """The position of the last event, with its hash."""

    def read(
        self, after: int, limit: int, *, upto: int | None = None, topics: Sequence[str] = ()
    ) -> Sequence[Chained]:
        """At most `limit` events with `after < position <= upto`, in order; of all topics, or of
        those in `topics`."""

    def at(self, positions: Collection[int]) -> Sequence[Chained]:
        """The events at these positions, in order. Positions without an event are left out."""

    def scan(self) -> Iterator[Link]:
        """Every stored event exactly as it is stored, in order of position, at least up to the head
        at the time of the call. This includes events that occur twice, in a wrong place or beyond
        the head, or that make no sense. Raises `ChainBroken` where the store's own records
        contradict them."""

    def streams(self, originator_ids: Collection[Any]) -> Sequence[Chained]:
        """Every event of these streams, by position."""

    def answers(self, keys: Collection[str]) -> Mapping[str, bytes]:
        """The stored answers among these keys."""

    def commit(
        self, after: int, events: Sequence[StoredEvent], answers: Sequence[StoredAnswer] = ()
    ) -> Sequence[bytes]:
        """Append events at positions `after + 1 …` and store the answers: durably, all or nothing.
        Returns the events' hashes, each chained onto that of the event before it.

        Raises `HeadMoved` when the log does not end at `after`, `StreamTaken` when a version exists
        already (or occurs twice in `events`), `KeyTaken` when a key has an answer already (or
        occurs twice in `answers`); any of them when several apply. After `StoreUnavailable` the
        commit may or may not be stored.
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
    """Refuse a batch with a version or a key twice, as `OrderedLog.commit` promises."""
    places = Counter((event.originator_id, event.originator_version) for event in events)
    if len(places) < len(events):
        raise StreamTaken([place for place, times in places.items() if times > 1])
    if len({answer.key for answer in answers}) < len(answers):
        raise KeyTaken("a key stands twice among the answers")
