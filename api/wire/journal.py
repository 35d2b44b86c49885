"""The JSON of the journal: who read the audit log, and what operators did."""

from typing import Any

from pydantic import BaseModel, Field

from api.wire.fields import Time, iso
from infrastructure.journal.entries import JournalEntry


class JournalEntryModel(BaseModel):
    number: int
    at: Time
    actor: str
    orgId: str | None = Field(description="Of who did it; null for platform staff and operators")
    action: str
    details: dict[str, Any] = Field(description="What was asked for")
    correlationId: str


class JournalPage(BaseModel):
    items: list[JournalEntryModel]
    next: str | None = Field(description="Cursor of the next page; null on the last")


def journal_entry_json(number: int, entry: JournalEntry) -> dict[str, Any]:
    return {
        "number": number,
        "at": iso(entry.at),
        "actor": entry.actor,
        "orgId": entry.org_id,
        "action": entry.action,
        "details": entry.details,
        "correlationId": entry.correlation_id,
    }
