"""What operators do to a version of a view: retry a parked ticket, verify it, repair it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final, Literal

from domain.errors import EventUnreadable, Fenced, TicketNotParked
from domain.events import Recorded
from domain.ports import Share
from projections.applier import BATCH, Applier
from projections.projection import Key, Parked, Projected, Row
from projections.runner import HEARTBEAT, LEASE_SECONDS

_AT_ONCE: Final = 1_000_000
"""Most events whose rows are expected at once while verifying."""

_STRETCH: Final = 5_000
_MENDED: Final = 500


def retry(projected: Projected[Row], ticket_id: str, holder: str) -> Parked | None:
    """Apply what waits of a parked ticket; None when it is parked no longer, else how it failed.
    Raises `TicketNotParked`."""
    if ticket_id not in projected.view.parked():  # the runner need not be disturbed to know
        name = projected.projection.name
        raise TicketNotParked(f"{name} has no parked ticket {ticket_id}.")
    with leading(projected, holder) as (applier, _):
        applier.retry(ticket_id)
    return projected.view.parked().get(ticket_id)


@contextmanager
def leading(
    projected: Projected[Row], holder: str
) -> Iterator[tuple[Applier[Row], Callable[[], None]]]:
    """Take the lease of a version for as long as the block lasts: an applier that holds its fence,
    and what renews it, which raises `Fenced` when somebody else took over."""
    name, leases = projected.view.name, projected.leases
    fence = leases.seize(name, holder, LEASE_SECONDS)
    renewed = monotonic()

    def renew() -> None:
        nonlocal renewed
        if monotonic() - renewed > HEARTBEAT:
            if leases.acquire(name, holder, LEASE_SECONDS) != fence:
                raise Fenced(f"Somebody else took over {name}. Look at its status and start again.")
            renewed = monotonic()

    try:
        yield Applier(projected, fence), renew
    finally:
        leases.release(name, holder)


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where a view does not say what the log says. `ticket_id` is None where nothing in
    the log belongs there."""

    kind: Literal["missing", "extra", "changed"]
    key: Key
    ticket_id: str | None


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared. `parked` tickets are waiting and were left out."""

    position: int
    rows: int
    parked: Sequence[str]
    differences: Sequence[Difference]


def verify(projected: Projected[Row], renew: Callable[[], None] = lambda: None) -> Verification:
    """Compare every row with a fold of the log up to the checkpoint.

    The view may be moving: a row that seems wrong is looked at again, at one checkpoint, before
    it is called a difference. Memory is bounded: a long log is compared share by share.
    """
    view = projected.view
    position = view.checkpoint()
    of = position // _AT_ONCE + 1
    rows, suspects = 0, set[Key]()
    for number in range(of):
        share = Share(number, of)
        expected = _expected(projected, share, position, renew)
        for key, row in view.rows():
            rows += not number
            ours = of == 1 or row is None or share.holds(_owner(key, row))
            if ours and expected.pop(key, None) != _hash(row):
                suspects.add(key)
            if rows % BATCH == 0:
                renew()
        suspects.update(expected)
    return Verification(position, rows, sorted(view.parked()), judge(projected, suspects))


def _hash(row: Row | None) -> int | None:
    try:
        return hash(row)
    except TypeError:  # somebody put into it what no row of ours holds
        return None


def _owner(key: Key, row: Row) -> str:
    """The ticket that a row belongs to."""
    return str(getattr(row, "ticket_id", key))


def _expected(
    projected: Projected[Row], share: Share, upto: int, renew: Callable[[], None]
) -> dict[Key, int]:
    """The key to the hash of the row that should be there."""
    latest: dict[str, Row | None] = {}
    expected: dict[Key, int] = {}
    position = 0
    while position < upto:
        stretch = projected.log.read_share(share, position, min(_STRETCH, upto - position))
        if stretch.upto == position:
            break  # the log ends before the view does: every row beyond is one too many
        position = stretch.upto
        for recorded in stretch.events:
            ticket_id = recorded.ticket_id
            try:
                row = projected.projection.project(latest.get(ticket_id), recorded)
            except Exception:
                continue  # the runner parks it; if not, its rows are looked at again
            latest[ticket_id] = row
            if row is not None:
                expected[_key(projected, recorded)] = hash(row)
        renew()
    return expected


def _key(projected: Projected[Row], recorded: Recorded) -> Key:
    return recorded.position if projected.projection.every else recorded.ticket_id


def judge(projected: Projected[Row], suspects: Iterable[Key]) -> list[Difference]:
    """Which of the keys really hold what the log does not say. Parked tickets wait, and are left
    out."""
    parked = projected.view.parked()
    found = []
    for key in sorted(suspects, key=lambda key: (isinstance(key, str), key)):
        ticket_id = _ticket_at(projected, key)
        if ticket_id not in parked and (difference := _difference(projected, key, ticket_id)):
            found.append(difference)
    return found


def _ticket_at(projected: Projected[Row], key: Key) -> str | None:
    """Which ticket the log has at the key."""
    if not projected.projection.every:
        return key if isinstance(key, str) else None
    if not isinstance(key, int) or not 0 < key <= projected.log.head():
        return None
    try:
        return projected.log.read(key - 1, 1)[0].ticket_id
    except EventUnreadable as error:
        return error.ticket_id


def _difference(projected: Projected[Row], key: Key, ticket_id: str | None) -> Difference | None:
    """What only moved on while looking is no difference: a row may be newer than the checkpoint
    that was read before it, as long as the log says the same."""
    floor = projected.view.checkpoint()
    stored = projected.view.stored([key])
    due, allowed = _rows_at(projected, key, ticket_id, floor)
    if key not in stored:
        return Difference("missing", key, ticket_id) if due else None
    if not allowed:
        return Difference("extra", key, ticket_id)
    return None if stored[key] in allowed else Difference("changed", key, ticket_id)


def _rows_at(
    projected: Projected[Row], key: Key, ticket_id: str | None, floor: int
) -> tuple[bool, list[Row]]:
    """Whether there must be a row, and which ones there may be, from checkpoint `floor` on."""
    due, allowed = False, list[Row]()
    row: Row | None = None
    histories = projected.log.histories([ticket_id]) if ticket_id is not None else {}
    for recorded in histories.get(ticket_id or "", ()):
        try:
            row = projected.projection.project(row, recorded)
        except Exception:
            break  # here the runner parks it
        if row is None or _key(projected, recorded) != key:
            continue
        if recorded.position <= floor:
            due, allowed = True, [row]
        else:
            allowed.append(row)
    return due, allowed


def repair(projected: Projected[Row], differences: Sequence[Difference], holder: str) -> int:
    """Put what the log says in the place of what differs; how many places that were.

    The version's runner stands by meanwhile. Raises `Fenced`.
    """
    with leading(projected, holder) as (applier, renew):
        for start in range(0, len(differences), _MENDED):
            mended: dict[Key, Row | None] = {}
            for one in differences[start : start + _MENDED]:
                due, allowed = _rows_at(projected, one.key, one.ticket_id, applier.position)
                mended[one.key] = allowed[0] if due else None
            projected.view.mend(mended, applier.fence)
            renew()
    return len(differences)
