"""Jobs: the records of work that operators start over HTTP and poll. Every process can read
them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

JobState = Literal["running", "done", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Job:
    """One job that an operator started.

    - `id`: 24 hex digits; ids of later jobs sort after it, to the second.
    - `phase`, `position`, `head`, `rate` (events a second): the progress, where it is known.
    - `result`: the outcome as JSON values; None unless the job is `done`.
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

    def keep(self, job: Job) -> None:
        """Store the record durably, in place of an earlier record of the job."""

    def find(self, job_id: str) -> Job | None: ...

    def latest(self, before: str | None, limit: int) -> Sequence[Job]:
        """At most `limit` jobs with ids below `before`, newest first."""
