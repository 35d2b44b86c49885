"""What old callers send and are sent. What they send is checked by hand: the old contract has a
sentence of its own for what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.legacy.refusals import LegacyRefusal
from api.wire.fields import iso
from domain.ticket.state import Ticket
from infrastructure.legacy_access.users import object_id


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """What a ticket shall be. None was not sent: without an id a ticket is created."""

    ticket_id: str | None
    name: str | None
    features: tuple[str, ...] | None


def system_of(data: Any) -> str:
    """The system that the caller names."""
    if not isinstance(data, Mapping):
        raise LegacyRefusal(400, "Send a JSON object with name, system and features")
    return checked_system(data.get("system"))


def checked_system(system: Any) -> str:
    if system is None or system == "":
        raise LegacyRefusal(400, "System is required")
    if not isinstance(system, str):
        raise LegacyRefusal(400, "System must be text")
    return system


def write_request(data: Mapping[str, Any]) -> WriteRequest:
    """What the caller sent of a ticket; other fields are passed over, as they always were."""
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
    return WriteRequest(ticket_id, name, _features(data) if "features" in data else None)


def _features(data: Mapping[str, Any]) -> tuple[str, ...]:
    features = data["features"]
    if not isinstance(features, list) or not all(isinstance(one, str) for one in features):
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
