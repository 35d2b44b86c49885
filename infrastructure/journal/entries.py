"""The journal: who read the audit log, and the actions of operators. It is no part of the ticket
log, follows from no event, and is never rebuilt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One read of the audit log, or one action of an operator.

    - `org_id`: the organisation of the actor; None for platform staff and operators.
    - `action`: like `audit.searched`, `projection.rebuilt`; in the past tense, stable.
    - `details`: the parameters of the action, as JSON values.
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
        """Store the entries durably, in this order. After `StoreUnavailable` they may or may not be
        stored."""

    def read(
        self, org_id: str | None, *, beyond: int | None, limit: int
    ) -> Sequence[tuple[int, JournalEntry]]:
        """At most `limit` (number, entry) below the number `beyond`, newest first; of one
        organisation, or of all with None. Numbers grow in the order of storing."""
