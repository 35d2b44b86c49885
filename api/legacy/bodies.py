"""The JSON of old callers and of the answers to them. Requests are checked by hand: the old
contract has a sentence of its own for each mistake."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api.legacy.refusals import LegacyRefusal
from api.wire.fields import iso
from domain.origin import Origin
from domain.ticket.commands import ChangeFeatures, Command, CreateTicket, RenameTicket
from domain.ticket.state import Ticket
from infrastructure.json_text import is_deep
from infrastructure.legacy_access.users import object_id


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A ticket as the caller wants it, in the caller's organisation. None stands for a field that
    was not sent: without an id a ticket is created."""

    org_id: str
    system: str
    ticket_id: str | None
    name: str | None
    features: tuple[str, ...] | None

    def creation(self, ticket_id: str, origin: Origin) -> CreateTicket:
        """The command that creates the ticket under that id."""
        return CreateTicket(
            ticket_id=ticket_id,
            origin=origin,
            org_id=self.org_id,
            system=self.system,
            name=self.name or "",
            features=self.features or (),
        )

    def changes(self, ticket_id: str, origin: Origin) -> list[Command]:
        """The commands that change the fields that were sent; none when none was."""
        changes: list[Command] = []
        if self.name is not None:
            changes.append(RenameTicket(ticket_id, origin, self.org_id, None, self.name))
        if self.features is not None:
            changes.append(ChangeFeatures(ticket_id, origin, self.org_id, None, self.features))
        return changes


def system_name(system: Any) -> str:
    """The system that the caller names. Raises `LegacyRefusal`."""
    if system is None or system == "":
        raise LegacyRefusal(400, "System is required")
    if not isinstance(system, str):
        raise LegacyRefusal(400, "System must be text")
    return system


def write_request(data: Any, org_of: Callable[[str], str]) -> WriteRequest:
    """Parse the body of a write; unknown fields are passed over, as they always were.

    `org_of` tells the organisation in which the caller has a system, and may refuse: before
    anything but the system is looked at. Raises `LegacyRefusal`.
    """
    if not isinstance(data, Mapping):
        raise LegacyRefusal(400, "Send a JSON object with name, system and features")
    if is_deep(data):
        raise LegacyRefusal(400, "The body is nested too deeply")
    system = system_name(data.get("system"))
    org_id = org_of(system)
    ticket_id = None
    if data.get("_id") is not None:
        ticket_id = object_id(data["_id"])
        if ticket_id is None:
            raise LegacyRefusal(400, "_id is not the id of a ticket: 24 hexadecimal digits")
    if ticket_id is None and data.get("name") is None:
        raise LegacyRefusal(400, "Name is required")
    name = data.get("name")
    if "name" in data and not isinstance(name, str):
        raise LegacyRefusal(400, "Name must be text")
    features = _features(data) if "features" in data else None
    return WriteRequest(org_id, system, ticket_id, name, features)


def _features(data: Mapping[str, Any]) -> tuple[str, ...]:
    features = data["features"]
    if not isinstance(features, list) or not all(isinstance(feature, str) for feature in features):
        raise LegacyRefusal(400, "Features must be a list of feature names")
    return tuple(features)


def ticket_json(ticket: Ticket) -> dict[str, Any]:
    """A ticket as mongoose writes one that it has read."""
    return {"_id": ticket.id, **_content(ticket), **_ending(ticket)}


def created_json(ticket: Ticket) -> dict[str, Any]:
    """A ticket as mongoose writes one that it has just made: the same, in another order."""
    return {**_content(ticket), "_id": ticket.id, **_ending(ticket)}


def _content(ticket: Ticket) -> dict[str, Any]:
    return {
        "name": ticket.name,
        "orgId": ticket.org_id,
        "system": ticket.system,
        "features": list(ticket.features),
    }


def _ending(ticket: Ticket) -> dict[str, Any]:
    return {
        "createdAt": iso(ticket.created_at),
        "updatedAt": iso(ticket.updated_at),
        "__v": ticket.revision,
    }
