"""The journal: who read the audit log, and what operators did. It stands apart from the ticket
log, is made from no event, and is never rebuilt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One thing that somebody did.

    - `org_id`: the organisation of who did it; None for platform staff and operators.
    - `action`: like `audit.searched`, `projection.rebuilt`; past tense, stable.
    - `details`: what was asked for, as JSON values.
    - `at`: in UTC with milliseconds.
    """

    at: datetime
    actor: str
    org_id: str | None
    action: str
    details: Mapping[str, Any]
    correlation_id: str


class Journal(Protocol):
    """Append-only. Every method raises `StoreUnavailable` when the store does not answer."""

    def append(self, entries: Sequence[JournalEntry]) -> None:
        """Keep the entries, durably and in this order. `StoreUnavailable` leaves open whether
        they were kept."""

    def read(
        self, org_id: str | None, *, beyond: int | None, limit: int
    ) -> Sequence[tuple[int, JournalEntry]]:
        """(number, entry) newest first, from below number `beyond`, of one organisation or, with
        None, of all. Numbers grow in the order in which entries were kept."""
