"""What a migration would do. Reads everything and writes nothing."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from domain.errors import TicketExists
from domain.origin import Origin
from domain.ticket.commands import ImportTicket, RemoveRecord
from domain.ticket.events import Event, LegacyRecordRemoved, Recorded
from domain.ticket.handlers import decide
from domain.ticket.stream import Stream, stream_of
from infrastructure.migration.chunks import chunks
from infrastructure.migration.counts import Tally
from infrastructure.migration.records import Translation
from infrastructure.migration.references import bad_references
from infrastructure.migration.system_match import SystemMatch
from infrastructure.migration.targets import Target, Targets, open_targets
from infrastructure.migration.transfer import Command

_SOME: Final = 1_000

Histories = Callable[[Collection[str]], Mapping[str, Sequence[Recorded]]]


def plan(
    records: Iterable[bytes],
    translation: Translation,
    origin: Origin,
    histories: Histories,
    targets: Targets,
    tell: Callable[[Tally], None],
) -> Tally:
    """What would become of each record, given the log; `targets` gets all there would be."""
    tally = Tally(SystemMatch(translation.catalogue, translation.system))
    for some in chunks(records, _SOME):
        commands = [(record, translation.command(record, origin)) for record in some]
        known = histories({command.ticket_id for _, command in commands})
        events: list[Event | None] = []
        kept: list[tuple[str, Target]] = []
        for record, command in commands:
            stream = stream_of(known.get(command.ticket_id, ()))
            event = _event(record, command, stream, translation)
            events.append(event)
            kept.append((command.ticket_id, _target(command, event, stream)))
        tally.add(events)
        targets.keep(kept)
        tell(tally)
    return tally


def plan_gone(
    came: Iterable[Recorded],
    translation: Translation,
    origin: Origin,
    histories: Histories,
    targets: Targets,
) -> int:
    """How many records would be noted as gone, of those that `came` by these events."""
    removed = LegacyRecordRemoved(origin, translation.collection)
    count = 0
    with open_targets() as seen:  # each stream counts once, however often records came into it
        for some in chunks((one.ticket_id for one in came), _SOME):
            gone = set(some) - targets.find(some).keys() - seen.find(some).keys()
            seen.keep((one, Target("", "")) for one in gone)
            for ticket_id, history in histories(gone).items():
                command = RemoveRecord(ticket_id, removed, system=translation.system)
                count += len(decide(command, stream_of(history), translation.catalogue))
    return count


def plan_references(users: Iterable[bytes], targets: Targets, histories: Histories) -> Counter[str]:
    """How many references of users would not resolve, by kind."""

    def find(ids: Collection[str]) -> Mapping[str, Target]:
        found = dict(targets.find(ids))
        for ticket_id, history in histories(set(ids) - found.keys()).items():
            if ticket := stream_of(history).ticket:
                found[ticket_id] = Target(ticket.org_id, ticket.system)
        return found

    return Counter(bad.kind for bad in bad_references(users, find))


def _event(
    record: bytes, command: Command, stream: Stream, translation: Translation
) -> Event | None:
    try:
        return next(iter(decide(command, stream, translation.catalogue)), None)
    except TicketExists as refusal:
        origin = command.imported.origin if isinstance(command, ImportTicket) else None
        assert origin
        return translation.quarantine(record, str(refusal), origin).quarantined


def _target(command: Command, event: Event | None, stream: Stream) -> Target:
    if isinstance(command, ImportTicket):
        ticket = stream.ticket or command.imported
        return Target(ticket.org_id, ticket.system)
    if stream.ticket:
        return Target(stream.ticket.org_id, stream.ticket.system)
    return Target("", "", command.quarantined.reason)
