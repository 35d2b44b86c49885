"""The JSON of the status and the verification of projections."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, StrictStr

from api.wire.fields import REASON_LENGTH, Request, Time, iso
from projections.running.projection import Parked, Skipped
from projections.versions.status import ProjectionStatus, VersionStatus
from projections.versions.verification import ViewMismatch, ViewReport


class LeaseModel(BaseModel):
    holder: str
    fence: int
    expiresAt: Time
    expired: bool


class ParkedModel(BaseModel):
    ticketId: str
    position: int
    error: str
    since: Time


class SkipBody(Request):
    reason: Annotated[
        StrictStr,
        Field(
            min_length=1,
            max_length=REASON_LENGTH,
            pattern=r"\S",
            description="Why; kept with the skipped event for ever",
        ),
    ]


class SkippedModel(BaseModel):
    position: int
    ticketId: str
    actor: str
    reason: str
    at: Time


class BuildModel(BaseModel):
    """The orders of the builder, and its progress."""

    target: int
    progress: float = Field(description="From 0 to 1")
    complete: bool = Field(description="True if only the switch is missing, as after a dry run")
    paused: bool
    rate: int | None = Field(description="Most events a second; null for as fast as it goes")


class StatusModel(BaseModel):
    version: int
    state: str = Field(
        description="`building`, `paused`, `stopped` of a version that is being built",
        json_schema_extra={
            "enum": ["current", "behind", "down", "building", "paused", "stopped"],
        },
    )
    position: int
    head: int
    lagEvents: int
    lagSeconds: float
    lease: LeaseModel | None
    parked: list[ParkedModel]


class VersionModel(StatusModel):
    role: str = Field(json_schema_extra={"enum": ["live", "kept", "building"]})
    build: BuildModel | None = Field(description="Null unless it is being built")


class ProjectionModel(StatusModel):
    """The projection as readers see it, which is its live version; and every version."""

    name: str
    versions: list[VersionModel]
    skipped: list[SkippedModel] = Field(description="Events that it passes over for good")


class ProjectionList(BaseModel):
    items: list[ProjectionModel]


def status_json(status: ProjectionStatus) -> dict[str, Any]:
    return {
        "name": status.name,
        **_status_fields(status.live_version),
        "versions": [_version_json(version) for version in status.versions],
        "skipped": [skipped_json(skipped) for skipped in status.skipped],
    }


def _version_json(status: VersionStatus) -> dict[str, Any]:
    build = status.build
    build_fields = build and {
        "target": build.target,
        "progress": round(status.progress or 0.0, 4),
        "complete": status.complete,
        "paused": build.paused,
        "rate": build.rate,
    }
    return {"role": status.role, **_status_fields(status), "build": build_fields}


def _status_fields(status: VersionStatus) -> dict[str, Any]:
    lease = status.lease
    return {
        "version": status.version,
        "state": status.state,
        "position": status.position,
        "head": status.head,
        "lagEvents": status.lag_events,
        "lagSeconds": round(status.lag_seconds, 3),
        "lease": lease
        and {
            "holder": lease.holder,
            "fence": lease.fence,
            "expiresAt": iso(lease.expires_at),
            "expired": lease.expired,
        },
        "parked": [parked_json(parked) for parked in status.parked],
    }


def skipped_json(skipped: Skipped) -> dict[str, Any]:
    return {
        "position": skipped.position,
        "ticketId": skipped.ticket_id,
        "actor": skipped.actor,
        "reason": skipped.reason,
        "at": iso(skipped.at),
    }


def parked_json(parked: Parked) -> dict[str, Any]:
    return {
        "ticketId": parked.ticket_id,
        "position": parked.position,
        "error": parked.error,
        "since": iso(parked.since),
    }


def verification_json(report: ViewReport) -> dict[str, Any]:
    return {
        "position": report.position,
        "rows": report.rows,
        "parked": report.parked,
        "differences": [view_mismatch_json(mismatch) for mismatch in report.mismatches],
    }


def view_mismatch_json(mismatch: ViewMismatch) -> dict[str, Any]:
    key = mismatch.key
    fields = {
        "kind": mismatch.kind,
        "key": key if isinstance(key, int | str) else str(key),
        "ticketId": mismatch.ticket_id,
    }
    return fields | ({"why": mismatch.why} if mismatch.why else {})
