"""`quarantine`: records that are kept whole, until they can be tickets."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.errors import NotInQuarantine
from domain.origin import Origin
from domain.ticket.commands import ImportTicket, QuarantineRecord, RenameTicket
from domain.ticket.events import LegacyRecordQuarantined
from domain.ticket.stream import stream_of
from infrastructure.log.ticket_log import TicketLog
from infrastructure.migration.bson import id_of
from infrastructure.migration.changes import SourceChange
from infrastructure.migration.chunks import chunks
from infrastructure.migration.destination import Destination
from infrastructure.migration.dismissals import Dismissal, Dismissals
from infrastructure.migration.record_text import as_bytes
from infrastructure.migration.records import Translation
from infrastructure.migration.restoring import Records
from infrastructure.migration.source import TICKETS, DatabaseSource, open_source
from infrastructure.stores import Notes

_EVENTS: Final = 500
"""Events that are read together: each may hold a record of many megabytes."""

_RECORDS: Final = 1_000
"""Records that are tried together."""


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """A record of `collection` in quarantine. `id` is its `_id` where that is usable; `record` is
    the text that `record_text.py` makes of it; `since` is when it was put there."""

    id: str
    collection: str
    reason: str
    digest: str
    since: datetime
    record: str

    @property
    def bytes(self) -> bytes:
        """The record as it stood in its source."""
        return as_bytes(self.record)


def in_quarantine(log: TicketLog) -> Iterator[QuarantinedRecord]:
    """Every record that is there now, in the order in which they were put there."""
    position = 0
    while events := log.read_topics(position, _EVENTS, (LegacyRecordQuarantined.TOPIC,)):
        histories = log.histories({recorded.ticket_id for recorded in events})
        for recorded in events:
            history, event = histories[recorded.ticket_id], recorded.event
            last = max(
                earlier.position
                for earlier in history
                if isinstance(earlier.event, LegacyRecordQuarantined)
            )
            assert isinstance(event, LegacyRecordQuarantined)
            if recorded.position == last and stream_of(history).quarantined:
                yield _record(recorded.ticket_id, event)
        position = events[-1].position


def _record(name: str, event: LegacyRecordQuarantined) -> QuarantinedRecord:
    source, since = event.source, event.origin.occurred_at
    return QuarantinedRecord(
        name, source.collection, event.reason, source.digest, since, event.record
    )


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """Which records are tried: all that nobody dismissed when `ids` is empty. They are read again
    in `source`, or taken as they were kept when that is None. Those of `ticket_1` belong to
    `system`."""

    ids: Sequence[str]
    source: str | None
    system: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a record would become a ticket; `reason` says why not."""

    id: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class RetryResult:
    """The ids of records that became tickets, and of those that are still in quarantine."""

    tickets: Sequence[str]
    quarantined: Sequence[str]


def find_records(log: TicketLog, ids: Sequence[str]) -> list[QuarantinedRecord]:
    """The records with these ids in that order, or all of them. Raises `NotInQuarantine`."""
    records = {record.id: record for record in in_quarantine(log)}
    for record_id in ids:
        if record_id not in records:
            raise NotInQuarantine(record_id)
    return [records[record_id] for record_id in ids] if ids else list(records.values())


def preview_retry(
    destination: Destination, options: RetryOptions, show: Callable[[Verdict], None]
) -> RetryResult:
    """Show what each record would become. Nothing is changed. Raises like `retry`."""
    records = _to_retry(destination, options.ids)
    origin = destination.origin()()
    for translation, wanted in _by_collection(destination, options, records):
        with _to_try(wanted, options.source, translation, origin) as (tried, _):
            for record in tried:
                command = translation.command(record, origin)
                if isinstance(command, ImportTicket):
                    show(Verdict(command.ticket_id, None))
                else:
                    show(Verdict(command.ticket_id, command.quarantined.reason))
    return _result(destination, records)


def retry(destination: Destination, options: RetryOptions) -> RetryResult:
    """Take the records over that can be tickets by now. Raises `NotInQuarantine`, `UnknownSystem`,
    `SourceUnusable`, `StoreUnavailable`."""
    read_at = destination.log.head()
    records = _to_retry(destination, options.ids)
    origin = destination.origin()()
    for translation, wanted in _by_collection(destination, options, records):
        with _to_try(wanted, options.source, translation, origin) as (tried, collection):
            importer = destination.importer(translation, collection)
            for batch in chunks(tried, _RECORDS):
                changes = [SourceChange(id_of(record), record) for record in batch]
                importer.take(changes, read_at)
    return _result(destination, records)


def complete(destination: Destination, record_id: str, name: str, system: str) -> str | None:
    """Make a ticket of a record in quarantine that lacks nothing but a usable name. Returns why it
    stays there instead; None once it is a ticket. Raises `NotInQuarantine`, `UnknownSystem`, and
    the `Refusal` of a name that no ticket may have."""
    commands = _completed(destination, record_id, name, system)
    if not isinstance(commands, tuple):
        return commands.quarantined.reason
    destination.writer.execute(*commands)
    destination.record("migration.record_completed", {"id": record_id, "name": name})
    return None


def preview_completion(
    destination: Destination, record_id: str, name: str, system: str
) -> str | None:
    """Why the record would stay in quarantine; None if it would be a ticket. Changes nothing."""
    commands = _completed(destination, record_id, name, system)
    return None if isinstance(commands, tuple) else commands.quarantined.reason


def _completed(
    destination: Destination, record_id: str, name: str, system: str
) -> tuple[ImportTicket, RenameTicket] | QuarantineRecord:
    read_at = destination.log.head()
    (record,) = find_records(destination.log, [record_id])
    options = RetryOptions((record_id,), None, system)
    ((translation, _),) = _by_collection(destination, options, [record])
    return translation.completed(record.bytes, name, destination.origin()(), read_at)


def dismiss(destination: Destination, record_id: str, reason: str) -> QuarantinedRecord:
    """Leave a record in quarantine for good, as it stands: `retry` passes over it unless it is
    named, and `verify` says why it is there. Raises `NotInQuarantine`."""
    (record,) = find_records(destination.log, [record_id])
    details = {"id": record_id, "digest": record.digest, "reason": reason}
    destination.record("migration.record_dismissed", details)
    dismissal = Dismissal(destination.actor, destination.now(), reason)
    Dismissals(destination.notes, record.collection).keep(record.digest, dismissal)
    return record


def without_dismissed(
    notes: Notes, records: Sequence[QuarantinedRecord]
) -> list[QuarantinedRecord]:
    """The records that nobody dismissed."""
    return [record for record in records if dismissal_of(notes, record) is None]


def dismissal_of(notes: Notes, record: QuarantinedRecord) -> Dismissal | None:
    return Dismissals(notes, record.collection).find(record.digest)


def _to_retry(destination: Destination, ids: Sequence[str]) -> list[QuarantinedRecord]:
    """The records with these ids; or all but the dismissed ones. Raises `NotInQuarantine`."""
    records = find_records(destination.log, ids)
    return records if ids else without_dismissed(destination.notes, records)


def _result(destination: Destination, records: Sequence[QuarantinedRecord]) -> RetryResult:
    tried = [record.id for record in records]
    still = {record.id for record in in_quarantine(destination.log)} & set(tried)
    return RetryResult([record_id for record_id in tried if record_id not in still], sorted(still))


def _by_collection(
    destination: Destination, options: RetryOptions, records: Sequence[QuarantinedRecord]
) -> Iterator[tuple[Translation, list[QuarantinedRecord]]]:
    """The records of each collection, and how they are read."""
    for collection in sorted({record.collection for record in records}):
        system = options.system if collection == TICKETS else None
        translation = destination.translation(system, collection)
        yield translation, [record for record in records if record.collection == collection]


@contextmanager
def _to_try(
    records: Sequence[QuarantinedRecord],
    source: str | None,
    translation: Translation,
    origin: Origin,
) -> Iterator[tuple[Iterator[bytes], Records | None]]:
    """The records to try, as they were kept or as they are in the source; and the collection in
    which to read those again that another process, which follows it, takes over meanwhile."""
    if source is None or translation.collection != TICKETS:
        yield (record.bytes for record in records), None
        return
    wanted = {record.id for record in records}
    with open_source(source) as opened:
        tried = (
            record
            for record in opened.records(TICKETS)
            if translation.command(record, origin).ticket_id in wanted
        )
        yield tried, opened.collection(TICKETS) if isinstance(opened, DatabaseSource) else None
