"""What goes over the wire: the JSON of requests and answers, with the field names clients know."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictStr,
    model_validator,
)
from pydantic_core import PydanticCustomError

from domain.ticket.handlers import FEATURES_PER_TICKET, NAME_LENGTH
from domain.ticket.state import Ticket
from infrastructure.journal.entries import JournalEntry
from projections.audit.diff import TicketDiff
from projections.audit.projection import AuditEntry, TicketContent

REASON_LENGTH = 1_000
WORD_LENGTH = 200
"""Most characters in the name of a system or of a feature."""

_MOST_FIELDS = 50
ID_PATTERN = "^[0-9a-f]{24}$"


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: 2025-10-28T09:30:00.123Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


Time = Annotated[
    datetime,
    PlainSerializer(iso, return_type=str),
    Field(json_schema_extra={"example": "2025-10-28T09:30:00.123Z"}),
]
Id = Annotated[str, Field(pattern=ID_PATTERN)]
Reason = Annotated[
    StrictStr | None,
    Field(max_length=REASON_LENGTH, description="Why; kept with the change for ever"),
]
Name = Annotated[
    StrictStr,
    Field(
        description=f"1 to {NAME_LENGTH} characters, no control characters, not only spaces",
        json_schema_extra={"minLength": 1, "maxLength": NAME_LENGTH},  # checked in the domain
    ),
]
Features = Annotated[
    list[Annotated[StrictStr, Field(max_length=WORD_LENGTH)]],
    Field(
        max_length=FEATURES_PER_TICKET,
        description=f"At most {FEATURES_PER_TICKET} names, each one of the system's features",
    ),
]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few(cls, body: Any) -> Any:
        """Each unknown field is an error of its own, and a hundred thousand would take a while."""
        if isinstance(body, dict) and len(body) > _MOST_FIELDS:
            said = "The body has {count} fields; it takes {fields} and nothing else"
            fields = ", ".join(cls.model_fields)
            raise PydanticCustomError(
                "too_many_fields", said, {"count": len(body), "fields": fields}
            )
        return body


class CreateTicketBody(Request):
    name: Name
    system: Annotated[StrictStr, Field(max_length=WORD_LENGTH)]
    features: Features = []
    reason: Reason = None


class ChangeTicketBody(Request):
    """What is left out stays as it is. `features` is the full list after the change."""

    name: Name | None = None
    features: Features | None = None
    reason: Reason = None


class RestoreTicketBody(Request):
    reason: Reason = None


class TicketModel(BaseModel):
    id: Id = Field(alias="_id")
    name: str
    orgId: Id
    system: str
    features: list[str]
    createdAt: Time
    updatedAt: Time
    version: int = Field(description="The number in the ETag")


class CauseModel(BaseModel):
    """What brought a change about: the entry of the audit log that did it, in short."""

    position: int
    at: Time
    actor: str
    action: str
    reason: str | None
    correlationId: str


class TicketThenModel(TicketModel):
    """A ticket as it was at some time."""

    retired: bool
    position: int = Field(description="Of the last event that it shows")
    grantedBy: CauseModel | None = Field(
        default=None, description="With `feature`: what granted it last, before then"
    )


class TicketPage(BaseModel):
    items: list[TicketModel | TicketThenModel]
    next: str | None = Field(description="Cursor of the next page; null on the last")


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


class FeatureChangeModel(BaseModel):
    feature: str
    by: CauseModel


class DifferenceModel(BaseModel):
    """A ticket that was not the same after as before, and what did that."""

    ticketId: str
    orgId: str | None
    system: str | None
    before: ContentModel | None
    after: ContentModel | None
    added: CauseModel | None
    retired: CauseModel | None
    restored: CauseModel | None
    renamed: CauseModel | None
    granted: list[FeatureChangeModel]
    revoked: list[FeatureChangeModel]


class DifferencePageModel(BaseModel):
    items: list[DifferenceModel]
    next: str | None = Field(description="Cursor of the next page; null on the last")


class AuditPage(BaseModel):
    items: list[AuditEntryModel]
    next: str | None = Field(description="Cursor of the next page; null on the last")


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


class HeadModel(BaseModel):
    position: int
    hash: str
    time: Time
    key: str = Field(description="The public key, in base64")
    signature: str = Field(
        description="Ed25519, in base64, over four lines, each with a line feed: "
        "`ticketbook head`, `position …`, `hash …`, `time …`"
    )


class FeatureModel(BaseModel):
    name: str
    description: str


class SystemModel(BaseModel):
    name: str
    description: str
    features: list[FeatureModel]


class SystemList(BaseModel):
    items: list[SystemModel]


def ticket_json(ticket: Ticket) -> dict[str, Any]:
    return {
        "_id": ticket.id,
        "name": ticket.name,
        "orgId": ticket.org_id,
        "system": ticket.system,
        "features": ticket.features,
        "createdAt": iso(ticket.created_at),
        "updatedAt": iso(ticket.updated_at),
        "version": ticket.version,
    }


def then_json(ticket: Ticket, granted_by: AuditEntry | None = None) -> dict[str, Any]:
    then = ticket_json(ticket) | {"retired": ticket.retired, "position": ticket.position}
    return then | ({"grantedBy": cause_json(granted_by)} if granted_by else {})


def difference_json(difference: TicketDiff) -> dict[str, Any]:
    return {
        "ticketId": difference.ticket_id,
        "orgId": difference.org_id,
        "system": difference.system,
        "before": _content_json(difference.before),
        "after": _content_json(difference.after),
        "added": cause_json(difference.added),
        "retired": cause_json(difference.retired),
        "restored": cause_json(difference.restored),
        "renamed": cause_json(difference.renamed),
        "granted": [{"feature": f, "by": cause_json(by)} for f, by in difference.granted],
        "revoked": [{"feature": f, "by": cause_json(by)} for f, by in difference.revoked],
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


def entry_json(entry: AuditEntry) -> dict[str, Any]:
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
        "before": _content_json(entry.before),
        "after": _content_json(entry.after),
        "granted": entry.granted,
        "revoked": entry.revoked,
        "hash": entry.hash,
    }


def journal_json(number: int, entry: JournalEntry) -> dict[str, Any]:
    return {
        "number": number,
        "at": iso(entry.at),
        "actor": entry.actor,
        "orgId": entry.org_id,
        "action": entry.action,
        "details": entry.details,
        "correlationId": entry.correlation_id,
    }


def _content_json(content: TicketContent | None) -> dict[str, Any] | None:
    if content is None:
        return None
    return {"name": content.name, "features": content.features, "retired": content.retired}
