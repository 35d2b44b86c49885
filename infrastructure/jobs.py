"""What operators start over HTTP and come back for: a record of it that every process can read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

JobState = Literal["running", "done", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Job:
    """One thing that an operator started.

    - `id`: 24 hex digits; those of later operations sort after it, to the second.
    - `phase`, `position`, `head`, `rate` (events a second): how far it has come, where that is
      known.
    - `result`: what came of it, as JSON values; None unless it is `done`.
    - `error`: why it `failed`, in a sentence.
    """

    id: str
    kind: str
    projection: str
    state: JobState
    by: str
    reason: str | None
    started_at: datetime
    phase: str | None = None
    position: int | None = None
    head: int | None = None
    rate: float | None = None
    finished_at: datetime | None = None
    result: Mapping[str, Any] | None = None
    error: str | None = None


class Jobs(Protocol):
    """The records. Every method raises `StoreUnavailable` when the store does not answer."""

    def keep(self, operation: Job) -> None:
        """Durable once this returns; takes the place of what was kept of it before."""

    def find(self, operation_id: str) -> Job | None: ...

    def latest(self, before: str | None, limit: int) -> Sequence[Job]:
        """Newest first, from below the id `before`."""
