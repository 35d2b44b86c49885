"""Searching the audit log, page by page."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from projections.audit.projection import AuditEntry

END: Final = 2**63 - 1
"""A position after every other."""

SCAN: Final = 10_000
"""Most entries that one page examines: the cost of a page does not grow with the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """The entries with these values; None matches any.

    - `since`, `before`: a range of `recorded_at`, its start included and its end not; likewise
      `since_position` and `before_position`.
    - `feature`: granted or revoked by the entry; `granted` and `revoked` match only one of them.
    - `text`: part of the reason, in upper or lower case.
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
    """The positions between `above` and `below`, without these two."""

    above: int
    below: int

    def until(self, edge: int | None, *, newest_first: bool) -> "Bounds":
        """The positions up to `edge`, included, in reading order."""
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
    since: int | None,
    before: int | None,
) -> Bounds:
    """The positions among which a search finds its next page, after `beyond`.

    `since` and `before` are the first positions recorded at `where.since` and `where.before` or
    later, None where these are. Times grow with positions, so a range of times becomes a range of
    positions, and needs no index of its own beside each filter.
    """
    starts, ends = [0, where.since_position or 0, since or 0], [END]
    if before is not None:
        ends.append(before)
    if where.before_position is not None:
        ends.append(where.before_position)
    above, below = max(starts) - 1, min(ends)
    if beyond is None:
        return Bounds(above, below)
    if newest_first:
        return Bounds(above, min(below, beyond))
    return Bounds(max(above, beyond), below)


@dataclass(frozen=True, slots=True)
class EntryPage:
    """A page of entries. `beyond` is the position after which the search goes on; None at its end.
    A page ends after examining `SCAN` entries, and may then be short or empty."""

    entries: Sequence[AuditEntry]
    beyond: int | None


class AuditReader(Protocol):
    """Searches the `audit` view."""

    @abstractmethod
    def page(
        self, where: AuditFilter, *, beyond: int | None, limit: int, newest_first: bool
    ) -> EntryPage:
        """At most `limit` entries in order of position (or the reverse), after position
        `beyond`."""

    def search(
        self, where: AuditFilter, *, beyond: int | None, limit: int, newest_first: bool
    ) -> Sequence[AuditEntry]:
        """The same over as many pages as it takes to find `limit` entries, or all. This may take as
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
