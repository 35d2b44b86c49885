"""Leading one view, in one process at a time."""

import logging
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Final, Generic

from domain.errors import Fenced, TicketbookError
from projections.running.applier import Applier, Prepared
from projections.running.progress import Progress
from projections.running.projection import Projected, Row

if TYPE_CHECKING:
    from projections.running.runners import Runners

LEASE_SECONDS: Final = 3.0
"""Seconds without a renewal after which a runner counts as dead."""

HEARTBEAT: Final = 1.0
"""Seconds between two renewals of the lease; also the most between two looks at the log."""

_STANDBY: Final = 0.1
"""Seconds between two tries to take the lease."""

_log = logging.getLogger(__name__)


class Runner(Generic[Row]):
    """Leads a view when no other process does, and stands by otherwise. The thread of `runners`
    does its work, from `start` to `stop`.

    - `progress`: advanced to the checkpoint of the view.
    - `applier`: writes the view while this process leads it, else None.
    - `turn`: the batch at hand, while it lasts. The lease is not renewed meanwhile: a stuck runner
      loses it.
    - `problem`: why the last try failed; None when it succeeded.
    - `due`: when the lease is to be taken or renewed, by the monotonic clock.

    After a failure of the store the runner tries again; only `stop` ends it.
    """

    def __init__(
        self, projected: Projected[Row], runners: "Runners", progress: Progress, holder: str
    ) -> None:
        self.projected = projected
        self.progress = progress
        self.applier: Applier[Row] | None = None
        self.turn: Future[Prepared[Row] | None] | None = None
        self.problem: str | None = None
        self.due = 0.0
        self._runners = runners
        self._leases = projected.leases
        self._name = projected.view.name
        self._holder = holder
        self._has_lease = False

    @property
    def leading(self) -> bool:
        return self.applier is not None

    def start(self) -> None:
        self._runners.add(self)

    def stop(self) -> None:
        """Finish the batch at hand, give the lease up, and end."""
        self._runners.remove(self)

    def tend(self) -> None:
        """Take the lease, or renew it, if that is due."""
        if self.turn or monotonic() < self.due:
            return
        with self.failing():
            fence = self._leases.acquire(self._name, self._holder, LEASE_SECONDS)
            self._has_lease = fence is not None
            if fence is None or (self.applier and self.applier.fence != fence):
                self.leave()
                return
            self.due = monotonic() + HEARTBEAT
            if self.applier is None:
                self.applier = Applier(self.projected, fence)
                _log.info("projection.taken_over view=%s fence=%s", self._name, fence)
                self.advance()

    def advance(self) -> None:
        """Tell readers how far the view is, after a success."""
        if self.applier:
            self.problem = None
            self.progress.advance(self.applier.position)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Stand by after an error, and say which it was: a runner that died in silence would look
        idle."""
        try:
            yield
        except Fenced:  # another process leads now, or an operator is at work
            self.leave()
        except TicketbookError as error:
            self._stand_by(str(error))
        except Exception as error:
            self._stand_by(f"{type(error).__name__}: {error}")

    def _stand_by(self, problem: str) -> None:
        if self.problem is None:
            _log.error("projection.standing_by view=%s problem=%r", self._name, problem)
        self.problem = problem
        self.leave()

    def leave(self) -> None:
        """Lead no more, until the lease is taken again in a moment."""
        self.applier = None
        self.due = monotonic() + _STANDBY
        if self._has_lease:
            self._has_lease = False
            with suppress(Exception):  # then it expires by itself
                self._leases.release(self._name, self._holder)
