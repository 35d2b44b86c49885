"""All rules, as one pure function for each command: `(command, ticket, catalogue) -> events`.
The handlers for legacy records take the end of the stream instead of the ticket.

No events means that the command changes nothing. A rule that says no raises a `Refusal`.
"""

import unicodedata
from collections.abc import Iterable

from domain.catalogue import Catalogue
from domain.errors import (
    Fault,
    InvalidFeatures,
    InvalidName,
    TicketExists,
    TicketIsRetired,
    TicketNotFound,
    VersionConflict,
)
from domain.origin import Origin
from domain.ticket.commands import (
    AdjustFeatures,
    ChangeFeatures,
    Command,
    CreateTicket,
    ImportTicket,
    QuarantineRecord,
    RemoveRecord,
    RenameTicket,
    RestoreTicket,
    RetireTicket,
)
from domain.ticket.events import (
    Event,
    TicketCreated,
    TicketFeaturesChanged,
    TicketRenamed,
    TicketRestored,
    TicketRetired,
)
from domain.ticket.state import Ticket
from domain.ticket.stream import Stream

NAME_LENGTH = 200
"""Most characters in a ticket's name."""

_DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Control characters that change the direction of text, also of the text beside a name."""

FEATURES_PER_TICKET = 500
"""Most features in one command."""


def decide(command: Command, stream: Stream, catalogue: Catalogue) -> tuple[Event, ...]:
    """Hand a command to its handler."""
    ticket = stream.ticket
    match command:
        case CreateTicket():
            return create_ticket(command, ticket, catalogue)
        case RenameTicket():
            return rename_ticket(command, ticket, catalogue)
        case ChangeFeatures():
            return change_features(command, ticket, catalogue)
        case AdjustFeatures():
            return adjust_features(command, ticket, catalogue)
        case RetireTicket():
            return retire_ticket(command, ticket, catalogue)
        case RestoreTicket():
            return restore_ticket(command, ticket, catalogue)
        case ImportTicket():
            return import_ticket(command, stream)
        case QuarantineRecord():
            return quarantine_record(command, stream)
        case RemoveRecord():
            return remove_record(command, stream)


def create_ticket(
    command: CreateTicket, ticket: Ticket | None, catalogue: Catalogue
) -> tuple[Event, ...]:
    if ticket is not None:
        raise TicketExists(f"There is already a ticket {command.ticket_id}.")
    check_name(command.name)
    _check_count(command.features)
    catalogue.check(command.system, command.features)
    created = TicketCreated(
        origin=command.origin,
        org_id=command.org_id,
        system=command.system,
        name=command.name,
        features=unique(command.features),
    )
    return (created,)


def rename_ticket(
    command: RenameTicket, ticket: Ticket | None, catalogue: Catalogue
) -> tuple[Event, ...]:
    ticket = _active(command, ticket)
    if command.name == ticket.name:  # no check: an imported name may break the rules
        return ()
    check_name(command.name)
    return (TicketRenamed(command.origin, command.name),)


def change_features(
    command: ChangeFeatures, ticket: Ticket | None, catalogue: Catalogue
) -> tuple[Event, ...]:
    ticket = _active(command, ticket)
    if len(command.features) > len(ticket.features):  # a long list is not even looked through
        _check_count(command.features)
    features = unique(command.features)
    if features == ticket.features:  # no check: the catalogue may no longer have them
        return ()
    _check_count(command.features)
    catalogue.check(ticket.system, command.features)
    return (_features_changed(command.origin, ticket, features),)


def adjust_features(
    command: AdjustFeatures, ticket: Ticket | None, catalogue: Catalogue
) -> tuple[Event, ...]:
    ticket = _active(command, ticket)
    _check_disjoint(command)
    held, revoke = frozenset(ticket.features), frozenset(command.revoke)
    # what is held may be gone from the catalogue, and can be taken away all the same; any other
    # name that the system does not have is a slip, and to pass over it would leave the access
    catalogue.check(ticket.system, command.grant, pointer="/grant", held=held)
    catalogue.check(ticket.system, command.revoke, pointer="/revoke", held=held)
    granted = tuple(feature for feature in unique(command.grant) if feature not in held)
    remaining = tuple(feature for feature in ticket.features if feature not in revoke)
    features = (*remaining, *granted)
    if features == ticket.features:
        return ()
    if granted:  # an imported ticket may hold more, and must be able to lose some
        _check_count(features, "/grant")
    return (_features_changed(command.origin, ticket, features),)


def _features_changed(
    origin: Origin, ticket: Ticket, features: tuple[str, ...]
) -> TicketFeaturesChanged:
    held, wanted = set(ticket.features), set(features)
    return TicketFeaturesChanged(
        origin=origin,
        features=features,
        granted=tuple(feature for feature in features if feature not in held),
        revoked=tuple(feature for feature in ticket.features if feature not in wanted),
    )


def retire_ticket(
    command: RetireTicket, ticket: Ticket | None, catalogue: Catalogue
) -> tuple[Event, ...]:
    return () if _owned(command, ticket).retired else (TicketRetired(command.origin),)


def restore_ticket(
    command: RestoreTicket, ticket: Ticket | None, catalogue: Catalogue
) -> tuple[Event, ...]:
    return (TicketRestored(command.origin),) if _owned(command, ticket).retired else ()


def import_ticket(command: ImportTicket, stream: Stream) -> tuple[Event, ...]:
    imported, ticket = command.imported, stream.ticket
    if _overtaken(command, stream):
        return ()
    if ticket is None:
        return (imported,)
    if ticket.org_id != imported.org_id or ticket.system != imported.system:
        raise TicketExists("its id belongs to another organisation or system")
    taken = stream.holds(imported.source.digest)
    if stream.changed_here and (taken or imported.updated_at < ticket.updated_at):
        return ()  # migrating again must not undo a change made here
    same = (
        taken
        and not ticket.retired
        and ticket.name == imported.name
        and ticket.features == imported.features
        and ticket.created_at == imported.created_at
        and ticket.updated_at == imported.updated_at
        and ticket.revision == imported.source.revision
    )
    return () if same else (imported,)


def quarantine_record(command: QuarantineRecord, stream: Stream) -> tuple[Event, ...]:
    quarantined = command.quarantined
    digest = quarantined.source.digest
    is_in_quarantine = stream.quarantined and stream.record == digest
    is_completed = stream.changed_here and stream.holds(digest)  # migrating again does not undo it
    is_settled = is_in_quarantine or is_completed or _overtaken(command, stream)
    return () if is_settled else (quarantined,)


def remove_record(command: RemoveRecord, stream: Stream) -> tuple[Event, ...]:
    if stream.record is None or stream.changed_here or _overtaken(command, stream):
        return ()
    if command.system and stream.ticket and stream.ticket.system != command.system:
        return ()  # the ticket is of another system, whose record is not the one that is gone
    return (command.removed,)


def _overtaken(command: ImportTicket | QuarantineRecord | RemoveRecord, stream: Stream) -> bool:
    """True if the stream has events from after the record was read."""
    return command.read_at is not None and stream.position > command.read_at


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """The names in the caller's order, each at its first place."""
    return tuple(dict.fromkeys(names))


_TicketCommand = RenameTicket | ChangeFeatures | AdjustFeatures | RetireTicket | RestoreTicket


def _owned(command: _TicketCommand, ticket: Ticket | None) -> Ticket:
    if ticket is None or command.within not in (None, ticket.org_id):
        raise TicketNotFound(f"There is no ticket {command.ticket_id}.")
    expected = command.expected_version
    versions = {expected} if isinstance(expected, int) else expected
    if versions is not None and ticket.version not in versions:
        named = " or ".join(map(str, sorted(versions)[:3])) or "one that was named"
        raise VersionConflict(
            f"Ticket {ticket.id} is at version {ticket.version}, not {named}. "
            "Read it again and decide on what it holds now.",
            version=ticket.version,
        )
    return ticket


def _active(command: _TicketCommand, ticket: Ticket | None) -> Ticket:
    ticket = _owned(command, ticket)
    if ticket.retired:
        raise TicketIsRetired(f"Ticket {ticket.id} is retired. Restore it before changing it.")
    return ticket


def check_name(name: str) -> None:
    """Raise `InvalidName` for a name that no ticket may get here."""
    if len(name) > NAME_LENGTH:  # before its characters: the writer looks at them for everybody
        fault = f"The name has {len(name)} characters; at most {NAME_LENGTH} are allowed."
        raise InvalidName(fault, (Fault("/name", InvalidName.code, fault),))
    kinds = {unicodedata.category(character) for character in name}
    if kinds <= {"Zs", "Cf"}:  # no visible character
        fault = "The name is empty."
    elif kinds & {"Cc", "Cs", "Zl", "Zp"} or any(c in _DIRECTIONS for c in name):
        fault = "The name holds control characters."
    else:
        return
    raise InvalidName(fault, (Fault("/name", InvalidName.code, fault),))


def _check_count(features: tuple[str, ...], pointer: str = "/features") -> None:
    if len(features) > FEATURES_PER_TICKET:
        count = "were sent" if pointer == "/features" else "would be held"
        fault = f"{len(features)} features {count}; at most {FEATURES_PER_TICKET} are allowed."
        raise InvalidFeatures(fault, (Fault(pointer, InvalidFeatures.code, fault),))


def _check_disjoint(command: AdjustFeatures) -> None:
    granted = frozenset(command.grant)
    for index, feature in enumerate(command.revoke):
        if feature in granted:
            fault = "A feature cannot be granted and revoked at once. Leave it out of one list."
            pointer = f"/revoke/{index}"
            raise InvalidFeatures(fault, (Fault(pointer, InvalidFeatures.code, fault),))
