"""The counts of calls on the old routes, as a store keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LegacyCalls:
    """The number of calls by a caller (a user's id, or `unknown`) on one of the old routes."""

    caller: str
    route: str
    calls: int
    first_at: datetime
    last_at: datetime

    def and_then(self, later: "LegacyCalls") -> "LegacyCalls":
        """Both counts together; `later` holds the later calls."""
        return replace(self, calls=self.calls + later.calls, last_at=later.last_at)


class LegacyUsage(Protocol):
    """The counts in a store. Both methods raise `StoreUnavailable`."""

    def add(self, calls: Sequence[LegacyCalls]) -> None:
        """Add these counts to the stored ones."""

    def all(self) -> Sequence[LegacyCalls]:
        """All counts, the latest call first."""
