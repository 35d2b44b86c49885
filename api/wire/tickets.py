"""The JSON of tickets, now and in the past, and of the commands that change them."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from api.wire.audit import CauseModel, cause_json
from api.wire.fields import WORD_LENGTH, Id, Reason, Request, Time, iso
from domain.origin import Origin
from domain.ticket.commands import (
    AdjustFeatures,
    ChangeFeatures,
    Command,
    Expected,
    RenameTicket,
)
from domain.ticket.handlers import FEATURES_PER_TICKET, NAME_LENGTH
from domain.ticket.state import Ticket
from projections.audit.projection import AuditEntry

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


class CreateTicketBody(Request):
    name: Name
    system: Annotated[StrictStr, Field(max_length=WORD_LENGTH)]
    features: Features = Field(default=[])
    reason: Reason = None


class ChangeTicketBody(Request):
    """A field that is left out stays as it is. Either `features` is the full list after the
    change, or `grant` adds to it and `revoke` takes away from it."""

    name: Name | None = None
    features: Features | None = None
    grant: Features | None = None
    revoke: Features | None = None
    reason: Reason = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        adjusts = self.grant is not None or self.revoke is not None
        if self.features is not None and adjusts:
            raise PydanticCustomError(
                "features_twice",
                "Send features, the full list, or else grant and revoke: not both ways at once",
            )
        if self.name is None and self.features is None and not adjusts:
            raise PydanticCustomError(
                "nothing_to_change",
                "Send name, features, grant or revoke: there is nothing to change",
            )
        return self

    def commands(
        self,
        ticket_id: str,
        origin: Origin,
        *,
        within: str | None,
        expected_version: Expected | None,
    ) -> list[Command]:
        """The commands that together make the change; the second builds on the first, so that
        only the first expects the version."""
        commands: list[Command] = []
        expected = expected_version
        if self.name is not None:
            commands.append(RenameTicket(ticket_id, origin, within, expected, self.name))
            expected = None
        if self.features is not None:
            features = tuple(self.features)
            commands.append(ChangeFeatures(ticket_id, origin, within, expected, features))
        elif self.grant is not None or self.revoke is not None:
            grant, revoke = tuple(self.grant or ()), tuple(self.revoke or ())
            commands.append(AdjustFeatures(ticket_id, origin, within, expected, grant, revoke))
        return commands


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


class TicketThenModel(TicketModel):
    """A ticket as it was at some time."""

    retired: bool
    position: int = Field(description="Of the last event that it shows")
    grantedBy: CauseModel | None = Field(
        default=None, description="With `feature`: the change that granted it last before then"
    )


class TicketPage(BaseModel):
    items: list[TicketModel | TicketThenModel]
    next: str | None = Field(description="Cursor of the next page; null on the last")


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


def ticket_then_json(ticket: Ticket, granted_by: AuditEntry | None = None) -> dict[str, Any]:
    then = ticket_json(ticket) | {"retired": ticket.retired, "position": ticket.position}
    return then | ({"grantedBy": cause_json(granted_by)} if granted_by else {})
