"""The domain's `EventLog` on top of a store's `OrderedLog`."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from threading import Lock
from typing import Final

from domain.errors import EventUnreadable
from domain.log.chain import Head, Link
from domain.log.ports import Answer, LogSlice, Partition
from domain.ticket.events import Event, Recorded
from infrastructure.log import codec
from infrastructure.log.ordered_log import Chained, OrderedLog

TAIL: Final = 10_000
"""Newest events that are kept decoded in memory, for the projections of this process."""


class TicketLog:
    """Encodes and decodes events, and keeps the last ones that this process committed.

    A projection in the same process follows the log closely: it almost always asks for the events
    that were just committed, and gets them without a query.
    """

    def __init__(self, store: OrderedLog, tail: int = TAIL) -> None:
        self._store = store
        self._tail: deque[Recorded] = deque(maxlen=tail)
        # by identity: to hash an event takes as long as to encode it
        self._prepared: dict[int, tuple[Event, bytes]] = {}
        self._lock = Lock()

    def head(self) -> int:
        return self._store.head()

    def ending(self) -> Head:
        """The position of the last event, with its hash."""
        return self._store.ending()

    def last_recorded(self) -> datetime | None:
        """When the last event was recorded; None if there is none, or it cannot be read."""
        head = self._store.head()
        with suppress(EventUnreadable):
            for recorded in self.read(head - 1, 1) if head else ():
                return recorded.recorded_at
        return None

    def at(self, positions: Collection[int]) -> Mapping[int, Chained]:
        """The stored events at these positions. Positions without an event are left out."""
        return {stored.id: stored for stored in self._store.at(positions)}

    def between(self, after: int, upto: int) -> Mapping[int, Chained]:
        """The stored events with `after < position <= upto`, by position."""
        return {stored.id: stored for stored in self._store.read(after, upto - after, upto=upto)}

    def scan(self) -> Iterator[Link]:
        """As `OrderedLog.scan`."""
        return self._store.scan()

    def read(self, after: int, limit: int) -> Sequence[Recorded]:
        remembered = self._remembered(after, limit)
        if remembered:
            return remembered
        events: list[Recorded] = []
        for stored in self._store.read(after, limit):
            try:
                events.append(codec.decode(stored))
            except EventUnreadable:
                if not events:
                    raise
                break
        return events

    def read_topics(self, after: int, limit: int, topics: Sequence[str]) -> Sequence[Recorded]:
        """At most `limit` events of these topics after position `after`, in order. Raises
        `EventUnreadable`."""
        return [codec.decode(stored) for stored in self._store.read(after, limit, topics=topics)]

    def read_partition(self, partition: Partition, after: int, limit: int) -> LogSlice:
        events: list[Recorded] = []
        unreadable: list[EventUnreadable] = []
        upto = after
        for stored in self._store.read(after, limit):
            upto = stored.id
            if partition.holds(str(stored.originator_id)):  # before decoding, as that is slow
                try:
                    events.append(codec.decode(stored))
                except EventUnreadable as error:
                    unreadable.append(error)
        return LogSlice(upto, events, unreadable)

    def histories(self, ticket_ids: Collection[str]) -> Mapping[str, Sequence[Recorded]]:
        histories: dict[str, list[Recorded]] = {}
        if ticket_ids:
            for stored in self._store.streams(ticket_ids):
                recorded = codec.decode(stored)
                histories.setdefault(recorded.ticket_id, []).append(recorded)
        return histories

    def fragments(
        self, ticket_ids: Collection[str]
    ) -> Mapping[str, Sequence[Recorded | EventUnreadable]]:
        by_ticket: dict[str, list[Recorded | EventUnreadable]] = {}
        for stored in self._store.streams(ticket_ids) if ticket_ids else ():
            event: Recorded | EventUnreadable
            try:
                event = codec.decode(stored)
            except EventUnreadable as error:
                event = error
            by_ticket.setdefault(event.ticket_id, []).append(event)
        return by_ticket

    def answers(self, keys: Collection[str]) -> Mapping[str, Answer]:
        if not keys:
            return {}
        stored = self._store.answers(keys)
        return {key: codec.decode_answer(key, body) for key, body in stored.items()}

    def prepare(self, events: Iterable[tuple[Event, bytes]]) -> None:
        """Keep the encoded form of these very event objects, so that their commit need not encode
        them. `forget` frees them."""
        self._prepared.update((id(event), (event, encoded)) for event, encoded in events)

    def forget(self, events: Iterable[Event]) -> None:
        """Free the encoded forms of these events: they are committed, or never will be."""
        for event in events:
            self._prepared.pop(id(event), None)

    def commit(self, after: int, events: Sequence[Recorded], answers: Sequence[Answer]) -> None:
        hashes = self._store.commit(
            after,
            [codec.encode(recorded, self._encoded(recorded.event)) for recorded in events],
            [codec.encode_answer(answer) for answer in answers],
        )
        if self._tail.maxlen:
            self._remember([_hashed(*pair) for pair in zip(events, hashes, strict=True)])

    def _encoded(self, event: Event) -> bytes | None:
        prepared = self._prepared.get(id(event))
        return prepared and prepared[1]

    def _remember(self, events: Sequence[Recorded]) -> None:
        with self._lock:
            if events and self._tail and self._tail[-1].position + 1 != events[0].position:
                self._tail.clear()
            self._tail.extend(events)

    def _remembered(self, after: int, limit: int) -> list[Recorded]:
        with self._lock:
            if not self._tail:
                return []
            skip = after + 1 - self._tail[0].position
            return list(islice(self._tail, skip, skip + limit)) if skip >= 0 else []


def _hashed(recorded: Recorded, stored: bytes) -> Recorded:
    return Recorded(  # not `replace`, which takes twice as long, and every event passes here
        recorded.position,
        recorded.ticket_id,
        recorded.version,
        recorded.recorded_at,
        recorded.event,
        stored.hex(),
    )
