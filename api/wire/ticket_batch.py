"""The JSON of many commands to tickets in one request."""

from typing import Annotated, Final, Literal

from pydantic import Field

from api.wire.fields import Id, Reason, Request
from api.wire.tickets import ChangeTicketBody, CreateTicketBody
from domain.origin import Origin
from domain.ticket.commands import Command, CreateTicket, RestoreTicket, RetireTicket

ITEMS: Final = 1_000
"""Most items of a batch."""


class _Item(Request):
    """An item about a ticket that exists."""

    ticketId: Id
    version: int | None = Field(
        default=None,
        ge=0,
        lt=10**15,
        description="The version that was read; left out, any version is taken",
    )
    reason: Reason = None


class CreateItem(CreateTicketBody):
    action: Literal["create"]

    def to_commands(self, new_id: str, origin: Origin, org_id: str | None) -> tuple[Command, ...]:
        """The commands of the item, for a caller of the organisation."""
        assert org_id is not None
        features = tuple(self.features)
        return (CreateTicket(new_id, origin, org_id, self.system, self.name, features),)


class ChangeItem(ChangeTicketBody, _Item):
    action: Literal["change"]

    def to_commands(self, new_id: str, origin: Origin, org_id: str | None) -> tuple[Command, ...]:
        """The commands of the item, for a caller of the organisation."""
        commands = self.commands(
            self.ticketId, origin, within=org_id, expected_version=self.version
        )
        return tuple(commands)


class RetireItem(_Item):
    action: Literal["retire"]

    def to_commands(self, new_id: str, origin: Origin, org_id: str | None) -> tuple[Command, ...]:
        """The commands of the item, for a caller of the organisation."""
        return (RetireTicket(self.ticketId, origin, org_id, self.version),)


class RestoreItem(_Item):
    action: Literal["restore"]

    def to_commands(self, new_id: str, origin: Origin, org_id: str | None) -> tuple[Command, ...]:
        """The commands of the item, for a caller of the organisation."""
        return (RestoreTicket(self.ticketId, origin, org_id, self.version),)


BatchItem = Annotated[
    CreateItem | ChangeItem | RetireItem | RestoreItem, Field(discriminator="action")
]

DONE: Final = {
    "create": "created",
    "change": "changed",
    "retire": "retired",
    "restore": "restored",
}
"""The result of each action, where it changed something."""


class BatchBody(Request):
    """Items are decided in order, each on what the one before it left."""

    items: Annotated[list[BatchItem], Field(min_length=1, max_length=ITEMS)]
    atomic: bool = Field(
        default=False, description="Take all items or none: the first refusal is the answer"
    )
    reason: Annotated[Reason, Field(description="Of the items that give none of their own")] = None
