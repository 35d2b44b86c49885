"""Comparing a version of a view with the log, row by row, while both may be moving."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import count
from typing import Final, Generic, Literal

from domain.errors import EventUnreadable
from domain.log.ports import LogSlice, Partition
from domain.ticket.events import Recorded
from projections.running.applier import BATCH
from projections.running.projection import Key, Projected, Row, park

_AT_ONCE: Final = 1_000_000
"""Most events whose rows are expected at once while verifying."""

_SLICE: Final = 5_000
_JUDGED: Final = 500

_UNTOLD: Final = -1
"""Stands for the hash of a row that nobody can tell: no object has this one."""

Kind = Literal["missing", "extra", "changed", "unreadable"]

UNREADABLE: Final = (
    "What is unreadable stays as it is: an event of its ticket fails here. Mend the cause or "
    "upgrade ticketbook, and verify again; or rebuild, and skip the event at which it parks then."
)
"""What operators are told to do about differences of that kind."""

At = Callable[[int], None]
"""Is told now and then, and often, at which position somebody is who has a lot to look at; it may
raise to interrupt him."""


def unheard(_: int) -> None:
    """Nobody wants to know, nor to interrupt."""


@dataclass(frozen=True, slots=True)
class ViewMismatch:
    """One place where a view does not say what the log says. `ticket_id` is None where nothing in
    the log belongs there.

    `unreadable`: what belongs there cannot be told, as an event fails here that the view neither
    parks nor skips; `why` says which. The row may well be right.
    """

    kind: Kind
    key: Key
    ticket_id: str | None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Due(Generic[Row]):
    """What the log has for a key from some checkpoint on: its ticket, whether there must be a row,
    and which rows there may be; or `broken`, why that cannot be told."""

    ticket_id: str | None
    due: bool
    allowed: Sequence[Row]
    broken: str | None

    @property
    def row(self) -> Row | None:
        """The one to put there at that checkpoint."""
        return self.allowed[0] if self.due else None


@dataclass(frozen=True, slots=True)
class ViewReport:
    """What was compared. Tickets that are `parked` were compared up to where they wait."""

    position: int
    rows: int
    parked: Sequence[str]
    differences: Sequence[ViewMismatch]


def unreadable(report: ViewReport) -> int:
    """Of how many differences nobody can tell what is right."""
    return sum(mismatch.kind == "unreadable" for mismatch in report.differences)


def verify(projected: Projected[Row], at: At = unheard) -> ViewReport:
    """Compare every row with a fold of the log up to the checkpoint.

    The view may be moving: a row that seems wrong is looked at again, at one checkpoint, before
    it is called a difference. Memory is bounded: a long log is compared share by share.
    """
    view = projected.view
    position = view.checkpoint()
    partitions = position // _AT_ONCE + 1
    rows, rows_read, suspects = 0, 0, set[Key]()
    for number in range(partitions):
        partition = Partition(number, partitions)
        expected = _expected(projected, partition, position, at)
        for key, row in view.rows():
            rows += not number
            ours = partitions == 1 or row is None or partition.holds(_owner(key, row))
            if ours and expected.pop(key, None) != _hash(row):
                suspects.add(key)
            rows_read += 1
            if rows_read % BATCH == 0:
                at(partition.number * position // partitions)
        suspects.update(expected)
    mismatches = judge(projected, suspects)
    mismatches += _misfiled(projected, {mismatch.key for mismatch in mismatches})
    return ViewReport(position, rows, sorted(view.parked()), mismatches)


def compare(live: Projected[Row], new: Projected[Row], at: At = unheard) -> list[ViewMismatch]:
    """Where the live version is not what the new one says: found by walking through both in the
    order of their keys, and then judged by the log, as both may be moving."""
    suspects: list[Key] = []
    lefts, rights = live.view.rows(), new.view.rows()
    left, right = next(lefts, None), next(rights, None)
    for number in count():
        if number % BATCH == 0:
            at(0)
        if left is None and right is None:
            break
        if left is not None and (right is None or _order(left[0]) < _order(right[0])):
            suspects.append(left[0])
            left = next(lefts, None)
        elif right is not None and (left is None or _order(right[0]) < _order(left[0])):
            suspects.append(right[0])
            right = next(rights, None)
        else:
            if left != right and left is not None:
                suspects.append(left[0])
            left, right = next(lefts, None), next(rights, None)
    return judge(live, suspects)


def _misfiled(projected: Projected[Row], known: Set[Key]) -> list[ViewMismatch]:
    """Where the rows are right but would not be found. A view moves a row and what it is found by
    in one step, so there is nothing to look at again."""
    keys = set(projected.view.misfiled()) - known
    stored, tickets = projected.view.stored(keys), _tickets_at(projected, list(keys))
    return [
        ViewMismatch("changed" if key in stored else "extra", key, tickets[key])
        for key in sorted(keys, key=_order)
    ]


def _order(key: Key) -> tuple[bool, str, Key]:
    """What can be no key of ours first: it may stand in the way of a row that is missing."""
    return isinstance(key, int | str), type(key).__name__, key


def _hash(row: Row | None) -> int | None:
    try:
        return hash(row)
    except TypeError:  # somebody put into it what no row of ours holds
        return None


def _owner(key: Key, row: Row) -> str:
    """The ticket that a row belongs to."""
    return str(getattr(row, "ticket_id", key))


def _expected(projected: Projected[Row], partition: Partition, upto: int, at: At) -> dict[Key, int]:
    """The key to the hash of the row that should be there, or to `_UNTOLD`."""
    latest: dict[str, Row | None] = {}
    expected: dict[Key, int] = {}
    broken: set[str] = set()
    skipped, parked = projected.skipped().keys(), projected.view.parked()
    position = 0
    while position < upto:
        log_slice = projected.log.read_partition(partition, position, min(_SLICE, upto - position))
        if log_slice.upto == position:
            break  # the log ends before the view does: every row beyond is one too many
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
                    broken.add(ticket_id)  # the runner parks it; if not, it is looked at again
            if ticket_id in broken:
                expected[_key(projected, event)] = _UNTOLD
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
    """The row that follows. Raises whatever is wrong with the event."""
    if isinstance(event, EventUnreadable):
        raise event
    return projected.projection.project(row, event)


def _key(projected: Projected[Row], event: Recorded | EventUnreadable) -> Key:
    return event.position if projected.projection.every else event.ticket_id


def judge(projected: Projected[Row], suspects: Iterable[Key]) -> list[ViewMismatch]:
    """Which of the keys really hold what the log does not say. Tickets that were parked meanwhile,
    or are no longer, have moved on and are left out."""
    mismatches: list[ViewMismatch] = []
    keys, before = sorted(suspects, key=_order), projected.view.parked()
    for start in range(0, len(keys), _JUDGED):
        mismatches += _differences(projected, keys[start : start + _JUDGED])
    after = projected.view.parked()
    return [m for m in mismatches if before.get(m.ticket_id or "") == after.get(m.ticket_id or "")]


def _differences(projected: Projected[Row], keys: Sequence[Key]) -> Iterator[ViewMismatch]:
    """What only moved on while looking is no difference: a row may be newer than the checkpoint
    that was read before it, as long as the log says the same."""
    floor = projected.view.checkpoint()
    stored = projected.view.stored(keys)
    for key, due in rows_at(projected, keys, floor).items():
        kind: Kind | None = None
        if due.broken:
            kind = "unreadable"
        elif key not in stored:
            kind = "missing" if due.due else None
        elif not due.allowed:
            kind = "extra"
        elif stored[key] not in due.allowed:
            kind = "changed"
        if kind:
            yield ViewMismatch(kind, key, due.ticket_id, due.broken)


def _tickets_at(projected: Projected[Row], keys: Sequence[Key]) -> Mapping[Key, str | None]:
    """Which ticket the log has at each key."""
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
    """First and last of each unbroken run of positions, which are sorted."""
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


def rows_at(projected: Projected[Row], keys: Sequence[Key], floor: int) -> Mapping[Key, Due[Row]]:
    """What the log has for each key, from checkpoint `floor` on."""
    tickets, skipped = _tickets_at(projected, keys), projected.skipped().keys()
    parked = projected.view.parked()
    events_by_ticket = projected.log.fragments(
        {event for event in tickets.values() if event is not None}
    )
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
        key: _due(projected, key, ticket_id, histories.get(ticket_id or "", ()), floor)
        for key, ticket_id in tickets.items()
    }


def _due(
    projected: Projected[Row],
    key: Key,
    ticket_id: str | None,
    history: Sequence[Recorded | EventUnreadable],
    floor: int,
) -> Due[Row]:
    due, allowed = False, list[Row]()
    row: Row | None = None
    for event in history:
        try:
            row = _projected(projected, row, event)
        except Exception as error:
            if event.position > floor or (projected.projection.every and key < event.position):
                break  # the runner has yet to park it, or what it means comes after the key
            why = park(event.ticket_id, event.position, error, projected.clock()).error
            return Due(ticket_id, False, (), f"position {event.position}: {why}")
        if row is None or _key(projected, event) != key:
            continue
        if event.position <= floor:
            due, allowed = True, [row]
        else:
            allowed.append(row)
    return Due(ticket_id, due, allowed, None)
