"""A projection, and the view that it keeps in a store."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar

from domain.log.ports import Clock, EventLog
from domain.ticket.events import Recorded

Row = TypeVar("Row")

Key = Any
"""The key of a row: the ticket's id where only latest rows are kept, else the event's position. A
row that something else put into a view may have any key."""


@dataclass(frozen=True, slots=True)
class Projection(Generic[Row]):
    """A pure function from events to rows.

    `project(row, recorded)` gives the row that follows a ticket's latest row, or None when the
    event leaves none. It may raise: the runner then parks that ticket.
    `every` says whether all rows are kept (an audit log) or only each ticket's latest.
    """

    name: str
    project: Callable[[Row | None, Recorded], Row | None]
    every: bool


@dataclass(frozen=True, slots=True)
class Parked:
    """A ticket whose event at `position` could not be projected. That event and all later ones of
    the ticket wait until an operator retries or skips."""

    ticket_id: str
    position: int
    error: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Skipped:
    """An event that a projection passes over for good, on the order of an operator."""

    position: int
    ticket_id: str
    actor: str
    reason: str
    at: datetime


def park(ticket_id: str, position: int, error: Exception, since: datetime) -> Parked:
    """The record of a ticket whose event at `position` failed."""
    return Parked(ticket_id, position, f"{type(error).__name__}: {error}"[:1_000], since)


@dataclass(frozen=True, slots=True)
class ViewChange(Generic[Row]):
    """One step of a view: from checkpoint `after` to checkpoint `upto`.

    - `rows`: (ticket id, row) in log order: only each ticket's latest row, or every row, depending
      on the projection. A row of None means that the ticket has no row.
    - `parked`: newly parked tickets.
    - `released`: the ids of tickets that are no longer parked.
    """

    after: int
    upto: int
    rows: Sequence[tuple[str, Row | None]]
    parked: Sequence[Parked] = ()
    released: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ViewStep(Generic[Row]):
    """A change of one view, by the holder of `fence`."""

    view: "View[Row]"
    change: ViewChange[Row]
    fence: int

    def take(self) -> Exception | None:
        """Apply it, in a transaction of its own; returns the error that this raised."""
        try:
            self.view.apply(self.change, self.fence)
        except Exception as error:
            return error
        return None


class TakeSteps(Protocol):
    """Apply a step of each of several views in one transaction.

    Returns the error of each step, in order; None for a step that was taken. A power cut may undo
    the last steps, whole and in order of time: the log has their events.
    """

    def __call__(self, steps: Sequence[ViewStep[Any]]) -> Sequence[Exception | None]: ...


class View(Protocol[Row]):
    """One version of a projection's rows in a store, with its checkpoint.

    Every method raises `StoreUnavailable` when the store does not answer.
    """

    @property
    def name(self) -> str:
        """The name of the version and of its lease, like `tickets@1`."""

    def checkpoint(self) -> int:
        """Position of the last event applied; 0 at the beginning."""

    def take_over(self, fence: int) -> int:
        """Shut out writers with a lower fence for good; returns the checkpoint. Raises `Fenced`
        when a writer with a higher fence came before."""

    def latest(self, ticket_ids: Collection[str]) -> Mapping[str, Row]:
        """Each ticket's latest row; tickets without one are left out."""

    def parked(self) -> Mapping[str, Parked]:
        """The parked tickets by id."""

    def apply(self, change: ViewChange[Row], fence: int) -> None:
        """Store rows, parked tickets and checkpoint in one transaction.

        Raises `Fenced` when a higher fence took over, or the checkpoint is not `change.after`.
        """

    def loaded(self) -> Mapping[int, int]:
        """The position that each partition of a version being built has reached. Partitions that
        have not begun are left out."""

    def load(
        self, partition: int, upto: int, rows: Sequence[tuple[str, Row]], parked: Sequence[Parked]
    ) -> None:
        """Store a part of a partition of a version being built: first the rows, in order, then the
        position that the partition has reached.

        There is no fence and no transaction. A row never replaces a newer row of its ticket, so a
        late or repeated write does no harm. An interrupted call leaves the beginning of `rows`.
        """

    def complete(self, upto: int) -> None:
        """Make the indexes that readers need, and set the checkpoint to `upto`. Every partition
        must be loaded."""

    def rows(self) -> Iterator[tuple[Key, Row | None]]:
        """Every stored row, by key; None in place of a row that is not exactly as this program
        writes it."""

    def stored(self, keys: Collection[Key]) -> Mapping[Key, Row | None]:
        """The same for these keys only; keys without a row are left out."""

    def misfiled(self) -> Iterator[Key]:
        """The keys of rows whose stored search keys (kept beside the rows) are not what the rows
        say, and the keys of search keys without a row."""

    def mend(self, rows: Mapping[Key, Row | None], fence: int) -> None:
        """Replace whatever is stored under these keys by these rows, or by nothing for None, in one
        transaction. Raises `Fenced`."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run a projection. `fence` grows with every new holder. Times are those of the
    database's clock."""

    holder: str
    fence: int
    expires_at: datetime
    expired: bool


LONGEST_LEASE: Final = 600.0
"""Most seconds that any lease lasts."""

CLOCK_STEP: Final = 1.0
"""Seconds that the database's clock may be set back without ending a lease."""


class Leases(Protocol):
    """At most one runner per projection, on the database's clock.

    A lease that ends later than any lease can is void: the clock was set back since. Nobody must
    wait until it has come so far again.
    """

    def acquire(self, name: str, holder: str, seconds: float) -> int | None:
        """Take or renew the lease for `seconds`; its fence, or None while another holds it, for at
        most as long. Renewing keeps the fence; a new holder gets a higher one than any before."""

    def seize(self, name: str, holder: str, seconds: float) -> int:
        """Take the lease from any holder, with a higher fence: for an operator's command. The
        former holder is fenced at its next write, and takes the lease again once it is released."""

    def release(self, name: str, holder: str) -> None:
        """Give the lease up, if it is still `holder`'s."""

    def current(self, name: str) -> Lease | None:
        """The lease by the database's clock; None if it was never held."""


@dataclass(frozen=True, slots=True)
class Projected(Generic[Row]):
    """One version of a projection, together with its log, leases and clock."""

    projection: Projection[Row]
    view: View[Row]
    log: EventLog
    leases: Leases
    clock: Clock
    skipped: Callable[[], Mapping[int, Skipped]]
    """The events that the projection passes over, by position."""
