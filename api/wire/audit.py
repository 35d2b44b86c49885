"""The JSON of the audit log: its entries, its signed head, and the cause of a change."""

from typing import Any

from pydantic import BaseModel, Field

from api.wire.fields import Time, iso
from domain.ticket.events import TicketImported
from projections.audit.projection import AuditEntry, TicketContent


class CauseModel(BaseModel):
    """The cause of a change: the entry of the audit log that made it, in short."""

    position: int
    at: Time
    actor: str
    action: str
    reason: str | None
    correlationId: str


class ContentModel(BaseModel):
    name: str
    features: list[str]
    retired: bool


class AuditEntryModel(BaseModel):
    position: int
    ticketId: str
    version: int
    orgId: str | None
    system: str | None
    action: str
    actor: str
    reason: str | None
    correlationId: str
    causationId: str | None
    occurredAt: Time
    recordedAt: Time
    before: ContentModel | None
    after: ContentModel | None
    granted: list[str]
    revoked: list[str]
    hash: str = Field(pattern="^[0-9a-f]{64}$", description="In the chain over the log")
    repairs: list[str] = Field(
        default=[], description="Of an import: the corrections that were made to the old record"
    )
    unknownFeatures: list[str] = Field(
        default=[], description="Of an import: features of the record that its system does not have"
    )


class AuditPage(BaseModel):
    items: list[AuditEntryModel]
    next: str | None = Field(description="Cursor of the next page; null on the last")


class HeadModel(BaseModel):
    position: int
    hash: str
    time: Time
    key: str = Field(description="The public key, in base64")
    signature: str = Field(
        description="Ed25519, in base64, over four lines, each with a line feed: "
        "`ticketbook head`, `position …`, `hash …`, `time …`"
    )


def audit_entry_json(entry: AuditEntry, imported: TicketImported | None = None) -> dict[str, Any]:
    """The entry. With the import that it came of, it says what was repaired."""
    repaired = {}
    if imported:
        repaired = {"repairs": imported.repairs, "unknownFeatures": imported.unknown_features}
    return {
        "position": entry.position,
        "ticketId": entry.ticket_id,
        "version": entry.version,
        "orgId": entry.org_id,
        "system": entry.system,
        "action": entry.action,
        "actor": entry.actor,
        "reason": entry.reason,
        "correlationId": entry.correlation_id,
        "causationId": entry.causation_id,
        "occurredAt": iso(entry.occurred_at),
        "recordedAt": iso(entry.recorded_at),
        "before": content_json(entry.before),
        "after": content_json(entry.after),
        "granted": entry.granted,
        "revoked": entry.revoked,
        "hash": entry.hash,
        **repaired,
    }


def cause_json(entry: AuditEntry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {
        "position": entry.position,
        "at": iso(entry.recorded_at),
        "actor": entry.actor,
        "action": entry.action,
        "reason": entry.reason,
        "correlationId": entry.correlation_id,
    }


def content_json(content: TicketContent | None) -> dict[str, Any] | None:
    if content is None:
        return None
    return {"name": content.name, "features": content.features, "retired": content.retired}
