"""The JSON of jobs, and of the requests that start them."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, StrictBool, StrictInt

from api.wire.fields import Id, Reason, Request, Time, iso
from api.wire.projections import parked_json, verification_json, view_mismatch_json
from infrastructure.jobs import Job
from projections.versions.outcome import Rebuilt
from projections.versions.repair import RepairReport
from projections.versions.verification import ViewReport

SHOWN: Final = 100
"""Most differences in the result of a job; `verify` on the command line prints all."""

FASTEST: Final = 10**9

Rate = Annotated[StrictInt, Field(ge=0, le=FASTEST, description="Events a second; 0: no limit")]


class JobBody(Request):
    dryRun: StrictBool = Field(default=False, description="Say what would happen; change nothing")
    reason: Reason = None


class RebuildBody(JobBody):
    rate: Rate | None = None
    acceptParked: StrictBool = Field(
        default=False, description="Switch even if that parks tickets which are shown now"
    )


class VerifyBody(JobBody):
    repair: StrictBool = False


class ThrottleBody(Request):
    rate: Rate


class JobModel(BaseModel):
    id: Id
    kind: str
    projection: str
    state: str = Field(
        description="`interrupted`: its process ended first; to start it again goes on with it",
        json_schema_extra={"enum": ["running", "done", "failed", "interrupted"]},
    )
    phase: str | None
    position: int | None
    head: int | None
    rate: float | None = Field(description="Events a second")
    startedAt: Time
    finishedAt: Time | None
    by: str
    reason: str | None
    result: dict[str, Any] | None = Field(
        description="The outcome. A difference is `missing`, `extra`, `changed`, or "
        "`unreadable`: an event of its ticket fails here, `why` says which; repair leaves it"
    )
    error: str | None


class JobPage(BaseModel):
    items: list[JobModel]
    next: str | None = Field(description="Cursor of the next page; null on the last")


def job_json(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "projection": job.projection,
        "state": job.state,
        "phase": job.phase,
        "position": job.position,
        "head": job.head,
        "rate": job.rate,
        "startedAt": iso(job.started_at),
        "finishedAt": job.finished_at and iso(job.finished_at),
        "by": job.by,
        "reason": job.reason,
        "result": job.result,
        "error": job.error,
    }


def rebuilt_json(rebuilt: Rebuilt) -> dict[str, Any]:
    return {
        "state": rebuilt.state,
        "version": rebuilt.version,
        "position": rebuilt.position,
        "wrongInLive": len(rebuilt.live),
        "live": [view_mismatch_json(mismatch) for mismatch in rebuilt.live[:SHOWN]],
        "newlyParked": len(rebuilt.parked),
        "parked": [parked_json(parked) for parked in rebuilt.parked[:SHOWN]],
        "new": rebuilt.new and _verification_result(rebuilt.new),
    }


def repair_result(report: RepairReport) -> dict[str, Any]:
    """The verification, with the number of differences and the first of them, and how many remain
    after the repair."""
    verification = _verification_result(report.found)
    return verification | {"remaining": len(report.remaining.mismatches)}


def _verification_result(report: ViewReport) -> dict[str, Any]:
    verification = verification_json(report)
    differences = verification["differences"]
    return verification | {"differing": len(differences), "differences": differences[:SHOWN]}
