"""The rows that a view should hold, as a fold of the log gives them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic

from domain.errors import EventUnreadable
from domain.log.ports import LogSlice, Partition
from domain.ticket.events import Recorded
from projections.running.projection import Key, Projected, Row, park

_SLICE: Final = 5_000
"""Positions of the log that are read at once."""

_UNKNOWN_HASH: Final = -1
"""In place of the hash of a row that cannot be computed. `hash` never gives -1."""

At = Callable[[int], None]
"""Called often during long work, with the position reached. May raise to stop the work."""


def unheard(_: int) -> None:
    """Ignore the position: for work whose progress nobody watches."""


@dataclass(frozen=True, slots=True)
class ExpectedRow(Generic[Row]):
    """The row under one key as the log says, from some checkpoint on.

    - `ticket_id`: the ticket of that key; None if the log has nothing there.
    - `required`: whether the row must exist at the checkpoint.
    - `allowed`: the rows that are right, at the checkpoint or at a later position.
    - `broken`: why the row cannot be computed; None if it can.
    """

    ticket_id: str | None
    required: bool
    allowed: Sequence[Row]
    broken: str | None

    @property
    def row(self) -> Row | None:
        """The row to store at that checkpoint; None if there is none."""
        return self.allowed[0] if self.required else None


def expected_hashes(
    projected: Projected[Row], partition: Partition, upto: int, at: At
) -> dict[Key, int]:
    """The hash of each row of a partition as it should be at position `upto`, by key. A row that
    cannot be computed has a hash that no row has."""
    latest: dict[str, Row | None] = {}
    expected: dict[Key, int] = {}
    broken: set[str] = set()
    skipped, parked = projected.skipped().keys(), projected.view.parked()
    position = 0
    while position < upto:
        log_slice = projected.log.read_partition(partition, position, min(_SLICE, upto - position))
        if log_slice.upto == position:
            break  # the log ends before the view does: each row beyond is an extra one
        position = log_slice.upto
        for event in _in_order(log_slice):
            ticket_id = event.ticket_id
            if event.position in skipped:
                continue
            if ticket_id in parked and event.position >= parked[ticket_id].position:
                continue
            if ticket_id not in broken:
                try:
                    latest[ticket_id] = _projected(projected, latest.get(ticket_id), event)
                except Exception:
                    broken.add(ticket_id)  # the runner parks it, or `judge` looks again
            if ticket_id in broken:
                expected[_key(projected, event)] = _UNKNOWN_HASH
            elif (row := latest[ticket_id]) is not None:
                expected[_key(projected, event)] = hash(row)
        at((partition.number * upto + position) // partition.of)
    return expected


def _in_order(log_slice: LogSlice) -> Sequence[Recorded | EventUnreadable]:
    if not log_slice.unreadable:
        return log_slice.events
    return sorted((*log_slice.events, *log_slice.unreadable), key=lambda event: event.position)


def _projected(
    projected: Projected[Row], row: Row | None, event: Recorded | EventUnreadable
) -> Row | None:
    """The row after the event. Raises the error of an event that cannot be read or projected."""
    if isinstance(event, EventUnreadable):
        raise event
    return projected.projection.project(row, event)


def _key(projected: Projected[Row], event: Recorded | EventUnreadable) -> Key:
    return event.position if projected.projection.every else event.ticket_id


def tickets_at(projected: Projected[Row], keys: Sequence[Key]) -> Mapping[Key, str | None]:
    """The ticket that the log has at each key; None if it has none."""
    if not projected.projection.every:
        return {key: key if isinstance(key, str) else None for key in keys}
    tickets: dict[Key, str | None] = dict.fromkeys(keys)
    head = projected.log.head()
    positions = sorted(key for key in keys if isinstance(key, int) and 0 < key <= head)
    for first, last in _runs(positions):
        log_slice = projected.log.read_partition(Partition(0, 1), first - 1, last - first + 1)
        tickets.update((event.position, event.ticket_id) for event in log_slice.events)
        tickets.update((event.position, event.ticket_id) for event in log_slice.unreadable)
    return tickets


def _runs(positions: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last position of each run without gaps; `positions` are sorted."""
    first = last = None
    for position in positions:
        if first is None or last is None:
            first = position
        elif position != last + 1:
            yield first, last
            first = position
        last = position
    if first is not None and last is not None:
        yield first, last


def expected_rows(
    projected: Projected[Row], keys: Sequence[Key], floor: int
) -> Mapping[Key, ExpectedRow[Row]]:
    """The expected row of each key, from checkpoint `floor` on."""
    tickets, skipped = tickets_at(projected, keys), projected.skipped().keys()
    parked = projected.view.parked()
    events_by_ticket = projected.log.fragments({id_ for id_ in tickets.values() if id_ is not None})
    histories = {
        ticket_id: [
            event
            for event in history
            if event.position not in skipped
            and (ticket_id not in parked or event.position < parked[ticket_id].position)
        ]
        for ticket_id, history in events_by_ticket.items()
    }
    return {
        key: _expected_row(projected, key, ticket_id, histories.get(ticket_id or "", ()), floor)
        for key, ticket_id in tickets.items()
    }


def _expected_row(
    projected: Projected[Row],
    key: Key,
    ticket_id: str | None,
    history: Sequence[Recorded | EventUnreadable],
    floor: int,
) -> ExpectedRow[Row]:
    required, allowed = False, list[Row]()
    row: Row | None = None
    for event in history:
        try:
            row = _projected(projected, row, event)
        except Exception as error:
            if event.position > floor or (projected.projection.every and key < event.position):
                break  # the runner has yet to park it, or the event comes after the key
            why = park(event.ticket_id, event.position, error, projected.clock()).error
            return ExpectedRow(ticket_id, False, (), f"position {event.position}: {why}")
        if row is None or _key(projected, event) != key:
            continue
        if event.position <= floor:
            required, allowed = True, [row]
        else:
            allowed.append(row)
    return ExpectedRow(ticket_id, required, allowed, None)
