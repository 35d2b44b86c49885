"""The JSON of `/v1/grants`."""

from typing import Any

from pydantic import BaseModel, Field

from api.wire.audit import CauseModel, cause_json
from projections.audit.grants import TicketGrants


class GrantModel(BaseModel):
    """A while for which the ticket granted the feature."""

    granted: CauseModel | None = Field(
        description="What granted it, maybe before that day; null where the audit log passes "
        "over that event"
    )
    revoked: CauseModel | None = Field(description="What ended it that day; null if nothing did")


class TicketGrantsModel(BaseModel):
    """A ticket that granted the feature."""

    ticketId: str
    orgId: str
    system: str
    name: str = Field(description="When it first granted the feature that day")
    grants: list[GrantModel] = Field(description="Oldest first")


class GrantsPageModel(BaseModel):
    items: list[TicketGrantsModel]
    next: str | None = Field(description="Cursor of the next page; null on the last")


def grants_json(ticket: TicketGrants) -> dict[str, Any]:
    entry = ticket.entry
    return {
        "ticketId": entry.ticket_id,
        "orgId": entry.org_id,
        "system": entry.system,
        "name": entry.after.name if entry.after else "",
        "grants": [
            {"granted": cause_json(grant.granted), "revoked": cause_json(grant.revoked)}
            for grant in ticket.grants
        ],
    }
