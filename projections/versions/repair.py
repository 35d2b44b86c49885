"""Repairing a version of a view: retry a parked ticket, verify, put wrong rows right."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final

from domain.errors import Fenced, TicketbookError, TicketNotParked
from projections.running.applier import Applier
from projections.running.projection import Key, Parked, Projected, Row
from projections.running.runner import HEARTBEAT, LEASE_SECONDS
from projections.versions.expected import expected_rows
from projections.versions.verification import ViewMismatch, ViewReport, judge, unreadable

_ROWS_A_TRANSACTION: Final = 500
"""Rows that are put right in one transaction."""


def retry(projected: Projected[Row], ticket_id: str, holder: str) -> Parked | None:
    """Apply the waiting events of a parked ticket. None once it is no longer parked, else how it
    failed. Raises `TicketNotParked`."""
    if ticket_id not in projected.view.parked():  # known without disturbing the runner
        name = projected.projection.name
        raise TicketNotParked(f"{name} has no parked ticket {ticket_id}.")
    with leading(projected, holder) as (applier, _):
        applier.retry(ticket_id)
    return projected.view.parked().get(ticket_id)


@contextmanager
def leading(
    projected: Projected[Row], holder: str
) -> Iterator[tuple[Applier[Row], Callable[[], None]]]:
    """Hold the lease of a version while the block runs. Gives an applier with the lease's fence,
    and a check that raises `Fenced` once another holder took over."""
    name, leases = projected.view.name, projected.leases
    fence = held = leases.seize(name, holder, LEASE_SECONDS)
    ended, lost = Event(), Event()

    def renew() -> None:  # in a thread of its own: the block may take long
        nonlocal held
        while not ended.wait(HEARTBEAT):
            with suppress(TicketbookError):  # the store may come back before the lease expires
                now = leases.acquire(name, holder, LEASE_SECONDS)
                # higher by one: this process renewed too late, on a busy machine, and no other took
                # the lease; another holder would have raised the fence once more
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
    """The report before the repair, the number of rows that were put right, and the report after
    it (the same one, if nothing was repaired)."""

    found: ViewReport
    mended: int
    remaining: ViewReport


def check(
    projected: Projected[Row],
    verified: Callable[[], ViewReport],
    holder: str,
    mending: Callable[[int], None] | None,
) -> RepairReport:
    """Verify. If `mending` is given, call it with the number of rows to repair, repair them, and
    verify again. Raises `Fenced`."""
    report = verified()
    mendable = len(report.mismatches) - unreadable(report)
    if mending is None or not mendable:
        return RepairReport(report, 0, report)
    mending(mendable)
    mended = repair(projected, report.mismatches, holder)
    return RepairReport(report, mended, verified())


def repair(projected: Projected[Row], mismatches: Sequence[ViewMismatch], holder: str) -> int:
    """Replace each mismatch by what the log says; returns their number. Rows that cannot be
    computed stay as they are.

    The version's runner waits meanwhile. Raises `Fenced`.
    """
    with leading(projected, holder) as (applier, check):
        return _mend(projected, mismatches, applier, check)


def settle_skipped(
    projected: Projected[Row],
    applier: Applier[Row],
    check: Callable[[], None],
    ticket_ids: Collection[str] | None = None,
) -> None:
    """Have a version pass over every skipped event, of these tickets or of all. Rows that it made
    from one are put right, and tickets that are parked at one go on."""
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
    mismatches: Sequence[ViewMismatch],
    applier: Applier[Row],
    check: Callable[[], None],
) -> int:
    done = 0
    for start in range(0, len(mismatches), _ROWS_A_TRANSACTION):
        keys = [mismatch.key for mismatch in mismatches[start : start + _ROWS_A_TRANSACTION]]
        expected = expected_rows(projected, keys, applier.position)
        mended = {key: row.row for key, row in expected.items() if not row.broken}
        projected.view.mend(mended, applier.fence)
        done += len(mended)
        check()
    return done
