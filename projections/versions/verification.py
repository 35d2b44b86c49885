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


def unreadable(found: ViewReport) -> int:
    """Of how many differences nobody can tell what is right."""
    return sum(difference.kind == "unreadable" for difference in found.differences)


def verify(projected: Projected[Row], at: At = unheard) -> ViewReport:
    """Compare every row with a fold of the log up to the checkpoint.

    The view may be moving: a row that seems wrong is looked at again, at one checkpoint, before
    it is called a difference. Memory is bounded: a long log is compared share by share.
    """
    view = projected.view
    position = view.checkpoint()
    of = position // _AT_ONCE + 1
    rows, looked, suspects = 0, 0, set[Key]()
    for number in range(of):
        share = Partition(number, of)
        expected = _expected(projected, share, position, at)
        for key, row in view.rows():
            rows += not number
            ours = of == 1 or row is None or share.holds(_owner(key, row))
            if ours and expected.pop(key, None) != _hash(row):
                suspects.add(key)
            looked += 1
            if looked % BATCH == 0:
                at(share.number * position // of)
        suspects.update(expected)
    differences = judge(projected, suspects)
    differences += _misfiled(projected, {one.key for one in differences})
    return ViewReport(position, rows, sorted(view.parked()), differences)


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
    there, tickets = projected.view.stored(keys), _tickets_at(projected, list(keys))
    return [
        ViewMismatch("changed" if key in there else "extra", key, tickets[key])
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


def _expected(projected: Projected[Row], share: Partition, upto: int, at: At) -> dict[Key, int]:
    """The key to the hash of the row that should be there, or to `_UNTOLD`."""
    latest: dict[str, Row | None] = {}
    expected: dict[Key, int] = {}
    broken: set[str] = set()
    passed, parked = projected.skipped().keys(), projected.view.parked()
    position = 0
    while position < upto:
        stretch = projected.log.read_partition(share, position, min(_SLICE, upto - position))
        if stretch.upto == position:
            break  # the log ends before the view does: every row beyond is one too many
        position = stretch.upto
        for told in _in_order(stretch):
            ticket_id = told.ticket_id
            if told.position in passed:
                continue
            if ticket_id in parked and told.position >= parked[ticket_id].position:
                continue
            if ticket_id not in broken:
                try:
                    latest[ticket_id] = _projected(projected, latest.get(ticket_id), told)
                except Exception:
                    broken.add(ticket_id)  # the runner parks it; if not, it is looked at again
            if ticket_id in broken:
                expected[_key(projected, told)] = _UNTOLD
            elif (row := latest[ticket_id]) is not None:
                expected[_key(projected, told)] = hash(row)
        at((share.number * upto + position) // share.of)
    return expected


def _in_order(stretch: LogSlice) -> Sequence[Recorded | EventUnreadable]:
    if not stretch.unreadable:
        return stretch.events
    return sorted((*stretch.events, *stretch.unreadable), key=lambda told: told.position)


def _projected(
    projected: Projected[Row], row: Row | None, told: Recorded | EventUnreadable
) -> Row | None:
    """The row that follows. Raises whatever is wrong with the event."""
    if isinstance(told, EventUnreadable):
        raise told
    return projected.projection.project(row, told)


def _key(projected: Projected[Row], told: Recorded | EventUnreadable) -> Key:
    return told.position if projected.projection.every else told.ticket_id


def judge(projected: Projected[Row], suspects: Iterable[Key]) -> list[ViewMismatch]:
    """Which of the keys really hold what the log does not say. Tickets that were parked meanwhile,
    or are no longer, have moved on and are left out."""
    found: list[ViewMismatch] = []
    keys, before = sorted(suspects, key=_order), projected.view.parked()
    for start in range(0, len(keys), _JUDGED):
        found += _differences(projected, keys[start : start + _JUDGED])
    after = projected.view.parked()
    return [d for d in found if before.get(d.ticket_id or "") == after.get(d.ticket_id or "")]


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
    found: dict[Key, str | None] = dict.fromkeys(keys)
    head = projected.log.head()
    positions = sorted(key for key in keys if isinstance(key, int) and 0 < key <= head)
    for first, last in _runs(positions):
        stretch = projected.log.read_partition(Partition(0, 1), first - 1, last - first + 1)
        found.update((one.position, one.ticket_id) for one in stretch.events)
        found.update((one.position, one.ticket_id) for one in stretch.unreadable)
    return found


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
    tickets, passed = _tickets_at(projected, keys), projected.skipped().keys()
    parked = projected.view.parked()
    told = projected.log.fragments({one for one in tickets.values() if one is not None})
    histories = {
        ticket_id: [
            one
            for one in history
            if one.position not in passed
            and (ticket_id not in parked or one.position < parked[ticket_id].position)
        ]
        for ticket_id, history in told.items()
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
    for told in history:
        try:
            row = _projected(projected, row, told)
        except Exception as error:
            if told.position > floor or (projected.projection.every and key < told.position):
                break  # the runner has yet to park it, or what it means comes after the key
            why = park(told.ticket_id, told.position, error, projected.clock()).error
            return Due(ticket_id, False, (), f"position {told.position}: {why}")
        if row is None or _key(projected, told) != key:
            continue
        if told.position <= floor:
            due, allowed = True, [row]
        else:
            allowed.append(row)
    return Due(ticket_id, due, allowed, None)
