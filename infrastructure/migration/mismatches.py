"""Differences between the old system and the log, and the records that are accounted for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from domain.ticket.events import Recorded, TicketImported
from domain.ticket.state import Ticket
from domain.ticket.stream import Stream

_KEPT: Final = "it was changed here, later than the record's updatedAt, and stays like that"
_REPLACED: Final = "the record's updatedAt was later than a change made here, and replaced it"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """`kind` is missing, extra, content, repaired, completed, dismissed, or one of a reference.
    `explained` says why the source or
    a change made here accounts for it; None when nothing does."""

    kind: str
    ticket: str | None
    explained: str | None = None
    field: str | None = None
    expected: Any = None
    found: Any = None
    user: str | None = None
    system: str | None = None

    def as_json(self) -> dict[str, Any]:
        always = {"kind", "ticket", "explained"}
        compared = {"expected", "found"} if self.field else set()
        return {
            name: value
            for name, value in asdict(self).items()
            if value is not None or name in always | compared
        }


@dataclass(slots=True)
class Accounted:
    """Where the records are: as equal tickets, as tickets with exactly the recorded repairs, as
    tickets that were changed here since, in quarantine; and records that are gone on both sides."""

    records: int = 0
    equal: int = 0
    repaired: int = 0
    changed_here: int = 0
    quarantined: int = 0
    gone: int = 0


def differences(
    ticket_id: str, expected: Mapping[str, Any], actual: Mapping[str, Any]
) -> list[Mismatch]:
    return [
        Mismatch("content", ticket_id, None, name, _plain(expected[name]), _plain(actual[name]))
        for name in expected
        if expected[name] != actual[name]
    ]


def kept_out(
    ticket_id: str,
    digest: str,
    taken: TicketImported,
    expected: Mapping[str, Any],
    ticket: Ticket,
) -> list[Mismatch]:
    """The fields in which the record by now differs from a later change made here."""
    mismatches = _what_changed(ticket_id, expected, ticket) or [
        Mismatch("content", ticket_id, None, "digest", digest, taken.source.digest)
    ]
    return [replace(mismatch, explained=_KEPT) for mismatch in mismatches]


def replaced(ticket_id: str, history: Sequence[Recorded]) -> list[Mismatch]:
    """The fields changed here, until a later record took their place; only the last of them."""
    stream, mismatches = Stream(), list[Mismatch]()
    for recorded in history:
        event = recorded.event
        if isinstance(event, TicketImported) and stream.changed_here and stream.ticket:
            mismatches = _what_changed(ticket_id, as_imported(event), stream.ticket)
        stream = stream.after(recorded)
    return [replace(mismatch, explained=_REPLACED) for mismatch in mismatches]


def _what_changed(ticket_id: str, expected: Mapping[str, Any], ticket: Ticket) -> list[Mismatch]:
    """The differences in the fields that can be changed here."""
    wanted = {name: expected[name] for name in ("name", "features")} | {"retired": False}
    return differences(ticket_id, wanted, as_ticket(ticket) | {"retired": ticket.retired})


def as_imported(event: TicketImported) -> dict[str, Any]:
    return {
        "name": event.name,
        "orgId": event.org_id,
        "system": event.system,
        "features": list(event.features),
        "createdAt": event.created_at,
        "updatedAt": event.updated_at,
        "__v": event.source.revision,
    }


def as_ticket(ticket: Ticket) -> dict[str, Any]:
    return {
        "name": ticket.name,
        "orgId": ticket.org_id,
        "system": ticket.system,
        "features": list(ticket.features),
        "createdAt": ticket.created_at,
        "updatedAt": ticket.updated_at,
        "__v": ticket.revision,
    }


def repaired_as_recorded(ticket_id: str, taken: TicketImported) -> Mismatch:
    """What was repaired, and which features were left out, exactly as it must be."""
    left_out = [f"unknown feature {name!r}" for name in taken.unknown_features]
    return Mismatch("repaired", ticket_id, "; ".join([*taken.repairs, *left_out]))


def repaired_fields(repairs: Iterable[str]) -> list[str]:
    """Which fields the recorded repairs are about; a repair of nothing stays as it is."""
    about: set[str] = set()
    for repair in repairs:
        if repair.startswith("left out: "):
            about.add(repair)
        else:
            first = repair.split(" ")[0]
            about.add("features" if "feature" in repair else first)
    return sorted(about)


def left_out(names: Iterable[str]) -> list[str]:
    """The repair that says which fields were left out; none when none were."""
    fields = list(names)
    return [f"left out: {', '.join(fields)}"] if fields else []


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
