"""What operators do to a projection: rebuild it, retry a parked ticket, verify it, look at it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Literal, cast

from domain.errors import EventUnreadable, Fenced, TicketNotParked
from projections.applier import BATCH, Applier
from projections.projection import Lease, Parked, Projected, Row
from projections.runner import HEARTBEAT, LEASE_SECONDS


@dataclass(frozen=True, slots=True)
class Step:
    """How far long work has come."""

    position: int
    head: int
    events_per_second: float


def rebuild(projected: Projected[Row], holder: str, tell: Callable[[Step], None]) -> int:
    """Empty the view and make it again up to what is the end of the log now; returns the position
    reached.

    Its runner stands by meanwhile and goes on where this stops, even if this is interrupted.
    Readers see the view fill up.
    """
    with _leading(projected, holder) as (applier, renew):
        applier.clear(renew)
        started, head = monotonic(), projected.log.head()
        while applier.position < head and applier.step():
            renew()
            rate = applier.position / max(monotonic() - started, 1e-9)
            tell(Step(applier.position, max(head, applier.position), rate))
        return applier.position


def retry(projected: Projected[Row], ticket_id: str, holder: str) -> Parked | None:
    """Apply what waits of a parked ticket; None when it is parked no longer, else how it failed.
    Raises `TicketNotParked`."""
    if ticket_id not in projected.view.parked():  # the runner need not be disturbed to know
        name = projected.projection.name
        raise TicketNotParked(f"{name} has no parked ticket {ticket_id}.")
    with _leading(projected, holder) as (applier, _):
        applier.retry(ticket_id)
    return projected.view.parked().get(ticket_id)


@contextmanager
def _leading(
    projected: Projected[Row], holder: str
) -> Iterator[tuple[Applier[Row], Callable[[], None]]]:
    name, leases = projected.projection.name, projected.leases
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
    """One place where a view does not say what the log says. `version` is 0 for views that keep
    only a ticket's latest row."""

    kind: Literal["missing", "extra", "changed"]
    ticket_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared. `parked` tickets are waiting and were left out."""

    position: int
    rows: int
    parked: Sequence[str]
    differences: Sequence[Difference]


def verify(projected: Projected[Row]) -> Verification:
    """Compare every row with a fold of the log up to the checkpoint.

    The view may be moving: a row that seems wrong is looked at again, at one checkpoint, before
    it is called a difference.
    """
    view = projected.view
    position = view.checkpoint()
    expected = _expected(projected, position)
    rows, suspects = 0, set[str]()
    for ticket_id, row in view.rows():
        rows += 1
        if expected.pop((ticket_id, _version(projected, row)), None) != hash(row):
            suspects.add(ticket_id)
    suspects.update(ticket_id for ticket_id, _ in expected)
    parked = view.parked()
    found = [d for i in sorted(suspects - parked.keys()) for d in _differences(projected, i)]
    return Verification(position, rows, sorted(parked), found)


def _version(projected: Projected[Row], row: Row) -> int:
    return int(cast(Any, row).version) if projected.projection.every else 0


def _expected(projected: Projected[Row], upto: int) -> dict[tuple[str, int], int]:
    """(ticket id, version) to the hash of the row that should be there."""
    latest: dict[str, Row | None] = {}
    expected: dict[tuple[str, int], int] = {}
    position = 0
    while position < upto:
        try:
            events = projected.log.read(position, min(BATCH, upto - position))
        except EventUnreadable as error:
            position = error.position
            continue
        if not events:
            break  # the log ends before the view does: every row beyond is one too many
        for recorded in events:
            position, ticket_id = recorded.position, recorded.ticket_id
            try:
                row = projected.projection.project(latest.get(ticket_id), recorded)
            except Exception:
                continue  # the runner parks it; if not, its rows are looked at again
            latest[ticket_id] = row
            if row is not None:
                expected[ticket_id, _version(projected, row)] = hash(row)
    return expected


def _differences(projected: Projected[Row], ticket_id: str) -> list[Difference]:
    """One ticket's differences. What only moved on while looking is none: rows may be newer than
    the checkpoint that was read before them, as long as the log says the same."""
    floor = projected.view.checkpoint()
    actual = {_version(projected, row): row for _, row in projected.view.rows(ticket_id)}
    due: set[int] = set()
    allowed: dict[int, list[Row]] = {}
    row: Row | None = None
    for recorded in projected.log.histories([ticket_id]).get(ticket_id, ()):
        try:
            row = projected.projection.project(row, recorded)
        except Exception:
            break  # here the runner parks it
        if row is None:
            continue
        place = _version(projected, row)
        if recorded.position <= floor:
            due.add(place)
            allowed[place] = [row]
        else:
            allowed.setdefault(place, []).append(row)
    found = [Difference("missing", ticket_id, place) for place in due - actual.keys()]
    for place, row in actual.items():
        if place not in allowed:
            found.append(Difference("extra", ticket_id, place))
        elif row not in allowed[place]:
            found.append(Difference("changed", ticket_id, place))
    return sorted(found, key=lambda difference: difference.version)


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """How a projection stands against the real head of the log.

    - `lag_seconds`: how long the oldest event not yet applied has been waiting; 0.0 when none is.
    - `state`: `current`, `behind` (it moves), `down` (no live runner holds the lease).
    """

    name: str
    position: int
    head: int
    lag_events: int
    lag_seconds: float
    state: Literal["current", "behind", "down"]
    lease: Lease | None
    parked: Sequence[Parked]


def status(projected: Projected[Row]) -> ProjectionStatus:
    """Read afresh from the store."""
    name, log = projected.projection.name, projected.log
    position, lease = projected.view.checkpoint(), projected.leases.current(name)
    head = log.head()
    lag = _waiting(projected, position) if position < head else 0.0
    state: Literal["current", "behind", "down"] = "behind" if position < head else "current"
    if lease is None or lease.expired:
        state = "down"
    parked = sorted(projected.view.parked().values(), key=lambda p: p.position)
    return ProjectionStatus(
        name, position, head, max(head - position, 0), lag, state, lease, parked
    )


def _waiting(projected: Projected[Row], position: int) -> float:
    """Seconds since the event after `position` was recorded."""
    try:
        oldest = projected.log.read(position, 1)
    except EventUnreadable:
        return 0.0  # nobody can tell; the runner passes it over
    seconds = [(projected.clock() - recorded.recorded_at).total_seconds() for recorded in oldest]
    return max([*seconds, 0.0])
