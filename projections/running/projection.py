"""What a projection is, and the view it keeps in a store."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from domain.log.ports import Clock, EventLog
from domain.ticket.events import Recorded

Row = TypeVar("Row")

Key = Any
"""What a row is stored under: the ticket's id where only latest rows are kept, else the event's
position. What somebody else put into a view may stand under anything."""


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
    """A ticket whose event at `position` could not be projected: that event and all later ones of
    the ticket wait, until somebody retries."""

    ticket_id: str
    position: int
    error: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Skipped:
    """An event that a projection passes over for good, because an operator said so."""

    position: int
    ticket_id: str
    actor: str
    reason: str
    at: datetime


def park(ticket_id: str, position: int, error: Exception, since: datetime) -> Parked:
    """What to keep of a ticket whose event at `position` failed."""
    return Parked(ticket_id, position, f"{type(error).__name__}: {error}"[:1_000], since)


@dataclass(frozen=True, slots=True)
class ViewChange(Generic[Row]):
    """One step of a view: from checkpoint `after` to checkpoint `upto`.

    `rows` holds (ticket id, row) in log order: each ticket's latest row only, or every row, as
    the projection says; a row of None means that the ticket has no row.
    `parked` are newly parked tickets, `released` those that are parked no longer.
    """

    after: int
    upto: int
    rows: Sequence[tuple[str, Row | None]]
    parked: Sequence[Parked] = ()
    released: Sequence[str] = ()


class View(Protocol[Row]):
    """One version of a projection's rows in a store, with the checkpoint they stand at.

    Every method raises `StoreUnavailable` when the store does not answer.
    """

    @property
    def name(self) -> str:
        """Names the version, and its lease: like `tickets@1`."""

    def checkpoint(self) -> int:
        """Position of the last event applied; 0 at the beginning."""

    def take_over(self, fence: int) -> int:
        """Shut out writers with a lower fence for good; returns the checkpoint.
        Raises `Fenced` when a higher fence was here before."""

    def latest(self, ticket_ids: Collection[str]) -> Mapping[str, Row]:
        """Each ticket's latest row; tickets without one are left out."""

    def parked(self) -> Mapping[str, Parked]:
        """The parked tickets by id."""

    def apply(self, change: ViewChange[Row], fence: int) -> None:
        """Rows, parked tickets and checkpoint in one transaction.

        Raises `Fenced` when a higher fence took over, or the checkpoint is not `change.after`.
        """

    def loaded(self) -> Mapping[int, int]:
        """How far each share of a version that is being built has come; shares that have not
        begun are left out."""

    def load(
        self, partition: int, upto: int, rows: Sequence[tuple[str, Row]], parked: Sequence[Parked]
    ) -> None:
        """Part of a share of a version that is being built: rows first, in order, then how far
        the share has come.

        No fence holds here and no transaction: a row never takes the place of one that is further
        on in its ticket, so that whoever writes late, or again, does no harm. Interrupted, it
        leaves the beginning of `rows`.
        """

    def complete(self, upto: int) -> None:
        """Every share is loaded: make what reading needs, and set the checkpoint to `upto`."""

    def rows(self) -> Iterator[tuple[Key, Row | None]]:
        """Everything that is stored, by key; None for what is not exactly a row of ours."""

    def stored(self, keys: Collection[Key]) -> Mapping[Key, Row | None]:
        """The same of these keys alone; those under which nothing stands are left out."""

    def misfiled(self) -> Iterator[Key]:
        """The keys about which something that is kept beside the rows, to find them by, does not
        say what the rows say; also where no row is."""

    def mend(self, rows: Mapping[Key, Row | None], fence: int) -> None:
        """Put these rows, or nothing for None, in the place of whatever stands under their keys,
        in one transaction. Raises `Fenced`."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who runs a projection. `fence` grows with every new holder; times are the database's."""

    holder: str
    fence: int
    expires_at: datetime
    expired: bool


class Leases(Protocol):
    """At most one runner per projection, on the database's clock."""

    def acquire(self, name: str, holder: str, seconds: float) -> int | None:
        """Take or renew the lease for `seconds`; its fence, or None while another holds it.
        Renewing keeps the fence; a new holder gets a higher one than any before."""

    def seize(self, name: str, holder: str, seconds: float) -> int:
        """Take the lease whoever holds it, with a higher fence: for an operator's command. The
        former holder is fenced at its next write and comes back once the lease is released."""

    def release(self, name: str, holder: str) -> None:
        """Give the lease up, if it is still `holder`'s."""

    def current(self, name: str) -> Lease | None:
        """The lease as the database sees it now; None if nobody ever held it."""


@dataclass(frozen=True, slots=True)
class Projected(Generic[Row]):
    """One projection with everything needed to work on it."""

    projection: Projection[Row]
    view: View[Row]
    log: EventLog
    leases: Leases
    clock: Clock
    skipped: Callable[[], Mapping[int, Skipped]]
    """The events that it passes over, by position."""
