"""Keeping one view current, in one process at a time."""

from contextlib import suppress
from threading import Event, Thread
from time import monotonic
from typing import Final, Generic

from domain.errors import Fenced, StoreUnavailable, TicketbookError
from projections.running.applier import BATCH, Applier
from projections.running.progress import Progress
from projections.running.projection import Projected, Row

LEASE_SECONDS: Final = 3.0
"""Seconds without a renewal after which a runner counts as dead."""

HEARTBEAT: Final = 1.0
"""Seconds between two renewals of the lease; also the most between two looks at the log."""

GATHER: Final = 0.02
"""Seconds in which events gather after a step, unless a reader waits for them or the view is far
behind. A transaction costs a store as much as some hundred events in it."""

_STANDBY: Final = 0.1
"""Seconds between two tries to take the lease."""


class Runner(Generic[Row]):
    """A thread that leads the projection when no other process does, and stands by otherwise.

    - `head`: the last known position of the log. The runner wakes as soon as it grows.
    - `progress`: the runner advances it to the checkpoint of the view.
    - `problem`: why the last try failed; None when it succeeded.

    After a failure of the store the runner tries again; only `stop` ends the thread.
    """

    def __init__(
        self, projected: Projected[Row], head: Progress, progress: Progress, holder: str
    ) -> None:
        self._projected = projected
        self._leases = projected.leases
        self._name = projected.view.name
        self._head = head
        self._progress = progress
        self._holder = holder
        self._stop = Event()
        self._wake = Event()
        self.leading = False
        self.problem: str | None = None
        self._thread = Thread(target=self._run, name=f"runner-{self._name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch at hand, give the lease up, and end."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                fence = self._leases.acquire(self._name, self._holder, LEASE_SECONDS)
                if fence is not None:
                    self._lead(fence)
            except Fenced:
                pass  # another process leads now, or an operator is at work
            except TicketbookError as error:
                self.problem = str(error)
            except Exception as error:  # a runner that died in silence would look idle
                self.problem = f"{type(error).__name__}: {error}"
            finally:
                self.leading = False
            self._stop.wait(_STANDBY)

    def _lead(self, fence: int) -> None:
        try:
            applier = Applier(self._projected, fence)
            self.leading = True
            self._progress.advance(applier.position)
            renew_at = monotonic() + HEARTBEAT
            while not self._stop.is_set():
                if monotonic() >= renew_at:
                    if self._leases.acquire(self._name, self._holder, LEASE_SECONDS) != fence:
                        return
                    renew_at = monotonic() + HEARTBEAT
                applied = applier.step()
                self.problem = None
                self._progress.advance(applier.position)
                if not applied:
                    self._sleep(applier.position, renew_at - monotonic())
                elif applied < BATCH:
                    self._progress.awaited.wait(GATHER)
                    self._progress.awaited.clear()
        finally:
            self.leading = False
            self._give_up()

    def _sleep(self, position: int, seconds: float) -> None:
        self._wake.clear()
        cancel = self._head.when(position + 1, self._wake.set)
        if not self._stop.is_set():
            self._wake.wait(max(seconds, 0.0))
        cancel()

    def _give_up(self) -> None:
        with suppress(StoreUnavailable):  # then it expires by itself
            self._leases.release(self._name, self._holder)
