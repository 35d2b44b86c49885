"""`plan`: count what a migration would do. Reads everything and writes nothing."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.errors import TicketExists
from domain.origin import Origin, milliseconds
from domain.ticket.commands import ImportTicket, QuarantineRecord, RemoveRecord
from domain.ticket.events import Event, LegacyRecordRemoved, Recorded
from domain.ticket.handlers import decide
from domain.ticket.stream import Stream, stream_of
from infrastructure.migration.chunks import chunks
from infrastructure.migration.counts import Counts
from infrastructure.migration.destination import DestinationView, translation_of
from infrastructure.migration.notices import Notify, NoUsers, OtherSources, Started
from infrastructure.migration.provenance import Provenance
from infrastructure.migration.records import Translation
from infrastructure.migration.references import bad_references
from infrastructure.migration.sniff import tickets
from infrastructure.migration.source import TICKETS, USERS, DatabaseSource, FolderSource
from infrastructure.migration.targets import Target, Targets, open_targets

_RECORDS: Final = 1_000
"""Records, or streams, whose histories are read together."""

Histories = Callable[[Collection[str]], Mapping[str, Sequence[Recorded]]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How many records would become what; and, by kind, how many references of users would not
    resolve."""

    counts: Counts
    references: Counter[str]


def plan(
    view: DestinationView,
    source: DatabaseSource | FolderSource,
    system: str,
    gone: bool,
    now: datetime,
    notify: Notify,
    tell: Callable[[int], None],
) -> Plan:
    """Count what `run` would do now. `gone` says that all sources so far are the same old system;
    `tell` gets how many records were looked at. Raises `UnknownSystem`, `SourceUnusable`,
    `StoreUnavailable`."""
    translation, origin = translation_of(view.catalogue, system), planning(now)
    notify(Started(source.count(TICKETS)))
    with open_targets() as targets:
        records = tickets(source.records(TICKETS), source.name)
        counts = plan_records(records, translation, origin, view.histories, targets, tell)
        if view.log and view.notes and isinstance(source, DatabaseSource):
            provenance = Provenance(view.notes, source.name, translation, gone)
            if others := provenance.others():
                notify(OtherSources(others))
            imported = provenance.may_be_gone(view.log)
            counts.removed = _plan_gone(imported, translation, origin, view.histories, targets)
        if not source.has(USERS):
            notify(NoUsers(source.name))
            return Plan(counts, Counter())
        users = source.records(USERS)
        return Plan(counts, _plan_references(users, targets, view.histories))


def planning(now: datetime) -> Origin:
    """The origin of events that are only thought of."""
    return Origin("plan", None, "plan", None, milliseconds(now))


def plan_records(
    records: Iterable[bytes],
    translation: Translation,
    origin: Origin,
    histories: Histories,
    targets: Targets,
    tell: Callable[[int], None],
) -> Counts:
    """Decide each record against the log and count the outcomes; `targets` gets every ticket."""
    counts, number = Counts.of(translation), 0
    for batch in chunks(records, _RECORDS):
        commands = [(record, translation.command(record, origin)) for record in batch]
        known = histories({command.ticket_id for _, command in commands})
        events: list[Event | None] = []
        planned: list[tuple[str, Target]] = []
        for record, command in commands:
            stream = stream_of(known.get(command.ticket_id, ()))
            event = _event(record, command, stream, translation)
            events.append(event)
            planned.append((command.ticket_id, _target(command, event, stream)))
        counts.add(events)
        number += len(batch)
        targets.keep(planned)
        tell(number)
    return counts


def _plan_gone(
    imported: Iterable[Recorded],
    translation: Translation,
    origin: Origin,
    histories: Histories,
    targets: Targets,
) -> int:
    """How many records would be noted as gone, of those that were imported by these events."""
    removed = LegacyRecordRemoved(origin, translation.collection)
    count = 0
    with open_targets() as seen:  # each stream counts once, however often records came into it
        for streams in chunks((recorded.ticket_id for recorded in imported), _RECORDS):
            gone = set(streams) - targets.find(streams).keys() - seen.find(streams).keys()
            seen.keep((stream, Target("", "")) for stream in gone)
            for ticket_id, history in histories(gone).items():
                command = RemoveRecord(ticket_id, removed, system=translation.system)
                count += len(decide(command, stream_of(history), translation.catalogue))
    return count


def _plan_references(
    users: Iterable[bytes], targets: Targets, histories: Histories
) -> Counter[str]:
    """How many references of users would not resolve, by kind."""

    def find(ids: Collection[str]) -> Mapping[str, Target]:
        known = dict(targets.find(ids))
        for ticket_id, history in histories(set(ids) - known.keys()).items():
            if ticket := stream_of(history).ticket:
                known[ticket_id] = Target(ticket.org_id, ticket.system)
        return known

    return Counter(bad.kind for bad in bad_references(users, find))


def _event(
    record: bytes,
    command: ImportTicket | QuarantineRecord,
    stream: Stream,
    translation: Translation,
) -> Event | None:
    try:
        return next(iter(decide(command, stream, translation.catalogue)), None)
    except TicketExists as refusal:
        origin = command.imported.origin if isinstance(command, ImportTicket) else None
        assert origin
        return translation.quarantine(record, str(refusal), origin).quarantined


def _target(
    command: ImportTicket | QuarantineRecord, event: Event | None, stream: Stream
) -> Target:
    if isinstance(command, ImportTicket):
        ticket = stream.ticket or command.imported
        return Target(ticket.org_id, ticket.system)
    if stream.ticket:
        return Target(stream.ticket.org_id, stream.ticket.system)
    return Target("", "", command.quarantined.reason)
