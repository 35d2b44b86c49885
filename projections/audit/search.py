"""Searching the audit log, page by page."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from domain.origin import milliseconds_up
from projections.audit.projection import AuditEntry

END: Final = 2**63 - 1
"""Past every position."""

SCAN: Final = 10_000
"""Most entries that one page looks at: what a page costs does not grow with the log."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; None means any. Times are `recorded_at`; ranges of times and of positions
    take their start and leave their end.

    `feature` was granted or revoked, `granted` and `revoked` were just that. `text` stands
    somewhere in the reason, in whatever case.
    """

    org_id: str | None
    system: str | None = None
    ticket_id: str | None = None
    actor: str | None = None
    action: str | None = None
    feature: str | None = None
    correlation_id: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    granted: str | None = None
    revoked: str | None = None
    text: str | None = None
    since_position: int | None = None
    before_position: int | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Positions between two, both left out."""

    above: int
    below: int

    def until(self, edge: int | None, *, newest_first: bool) -> "Bounds":
        """Those up to `edge`, itself included, in the order in which they are read."""
        if edge is None:
            return self
        if newest_first:
            return replace(self, above=max(self.above, edge - 1))
        return replace(self, below=min(self.below, edge + 1))


def bounds(
    where: AuditFilter,
    beyond: int | None,
    *,
    newest_first: bool,
    first: Callable[[datetime], int],
) -> Bounds:
    """The positions that a search may answer with, past `beyond`. `first` tells the first position
    recorded at a moment or later: times grow with positions, so a range of times is one of
    positions, and needs no index together with each other filter."""
    starts, ends = [0, where.since_position or 0], [END]
    if where.since is not None:
        starts.append(first(milliseconds_up(where.since)))
    if where.before is not None:
        ends.append(first(milliseconds_up(where.before)))
    if where.before_position is not None:
        ends.append(where.before_position)
    above, below = max(starts) - 1, min(ends)
    if beyond is None:
        return Bounds(above, below)
    if newest_first:
        return Bounds(above, min(below, beyond))
    return Bounds(max(above, beyond), below)


@dataclass(frozen=True, slots=True)
class Found:
    """A page. `beyond` is the position past which the search goes on; None when it is at its end.
    A page that has looked at `SCAN` entries ends there, with what it has: maybe nothing."""

    entries: Sequence[AuditEntry]
    beyond: int | None


class AuditReader(Protocol):
    """Questions to the `audit` view."""

    @abstractmethod
    def page(
        self, where: AuditFilter, *, beyond: int | None, limit: int, newest_first: bool
    ) -> Found:
        """At most `limit` entries in position order (or the reverse), past position `beyond`."""

    def search(
        self, where: AuditFilter, *, beyond: int | None, limit: int, newest_first: bool
    ) -> Sequence[AuditEntry]:
        """The same, page after page, until there are `limit` entries or no more: that may take as
        long as reading the whole log."""
        entries: list[AuditEntry] = []
        while len(entries) < limit:
            page = self.page(
                where, beyond=beyond, limit=limit - len(entries), newest_first=newest_first
            )
            entries += page.entries
            if page.beyond is None:
                break
            beyond = page.beyond
        return entries
