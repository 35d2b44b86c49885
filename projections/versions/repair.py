"""What operators do to a version of a view: retry a parked ticket, verify, repair what differs."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final

from domain.errors import Fenced, StoreUnavailable, TicketNotParked
from projections.running.applier import Applier
from projections.running.projection import Key, Parked, Projected, Row
from projections.running.runner import HEARTBEAT, LEASE_SECONDS
from projections.versions.verification import ViewMismatch, ViewReport, judge, rows_at, unreadable

_MENDED: Final = 500
"""Rows that are put right in one transaction."""


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
    """Hold the lease of a version for as long as the block lasts: an applier with its fence, and a
    check that raises `Fenced` once somebody else took over."""
    name, leases = projected.view.name, projected.leases
    fence = held = leases.seize(name, holder, LEASE_SECONDS)
    ended, lost = Event(), Event()

    def renew() -> None:  # in a thread of its own: what is done meanwhile takes its time
        nonlocal held
        while not ended.wait(HEARTBEAT):
            with suppress(StoreUnavailable):  # until the lease is out, the store may come back
                now = leases.acquire(name, holder, LEASE_SECONDS)
                # one more when we came too late, on a busy machine, and nobody else came: whoever
                # had would have left it higher by two
                if now is None or now > held + 1:
                    lost.set()
                    return
                held = now

    def check() -> None:
        if lost.is_set():
            raise Fenced(f"Somebody else took over {name}. Look at its status and start again.")

    renewing = Thread(target=renew, name=f"lease-{name}", daemon=True)
    renewing.start()
    try:
        yield Applier(projected, fence), check
    finally:
        ended.set()
        renewing.join()
        leases.release(name, holder)


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What was `found`, in how many places it was `mended`, and what remains."""

    found: ViewReport
    mended: int
    remaining: ViewReport


def check(
    projected: Projected[Row],
    verified: Callable[[], ViewReport],
    holder: str,
    mending: Callable[[int], None] | None,
) -> RepairReport:
    """Verify; and with `mending` repair what differs, once that was told in how many places, and
    verify again. Raises `Fenced`."""
    report = verified()
    mendable = len(report.differences) - unreadable(report)
    if mending is None or not mendable:
        return RepairReport(report, 0, report)
    mending(mendable)
    mended = repair(projected, report.differences, holder)
    return RepairReport(report, mended, verified())


def repair(projected: Projected[Row], differences: Sequence[ViewMismatch], holder: str) -> int:
    """Put what the log says in the place of what differs; how many places that were. What cannot
    be told is left as it is.

    The version's runner stands by meanwhile. Raises `Fenced`.
    """
    with leading(projected, holder) as (applier, check):
        return _mend(projected, differences, applier, check)


def settle_skipped(
    projected: Projected[Row],
    applier: Applier[Row],
    check: Callable[[], None],
    ticket_ids: Collection[str] | None = None,
) -> None:
    """Have a version pass over every skipped event, of these tickets or of all: what it had
    applied of one before is taken back, and tickets that wait at one go on."""
    first: dict[str, int] = {}
    for position, event in sorted(projected.skipped().items()):
        if position <= applier.position and (ticket_ids is None or event.ticket_id in ticket_ids):
            first.setdefault(event.ticket_id, position)
    keys = list[Key](first)
    if projected.projection.every:
        events = projected.log.fragments(first)
        keys = [
            event.position
            for ticket_id, since in first.items()
            for event in events.get(ticket_id, ())
            if since <= event.position
        ]
    _mend(projected, judge(projected, keys), applier, check)
    applier.resume()


def _mend(
    projected: Projected[Row],
    differences: Sequence[ViewMismatch],
    applier: Applier[Row],
    check: Callable[[], None],
) -> int:
    done = 0
    for start in range(0, len(differences), _MENDED):
        keys = [mismatch.key for mismatch in differences[start : start + _MENDED]]
        expected = rows_at(projected, keys, applier.position)
        mended = {key: due.row for key, due in expected.items() if not due.broken}
        projected.view.mend(mended, applier.fence)
        done += len(mended)
        check()
    return done
