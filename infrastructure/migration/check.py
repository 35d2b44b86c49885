"""Compares the log with the old system, record by record."""

import zlib
from base64 import b64decode
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

import bson
from bson import json_util
from bson.errors import BSONError

from domain.catalogue import Catalogue
from domain.log.ports import EventLog
from domain.ticket.events import (
    LegacyRecordQuarantined,
    LegacyRecordRemoved,
    Recorded,
    TicketImported,
)
from domain.ticket.state import Ticket, fold
from domain.ticket.stream import is_change
from infrastructure.migration.chunks import chunks
from infrastructure.migration.dismissals import Dismissals
from infrastructure.migration.expected import ExpectedTicket, NoTicket, expect
from infrastructure.migration.imported_events import every_event, is_completed, took_over
from infrastructure.migration.mismatches import (
    Accounted,
    Mismatch,
    as_imported,
    as_ticket,
    differences,
    kept_out,
    left_out,
    repaired_as_recorded,
    repaired_fields,
    replaced,
)
from infrastructure.migration.references import QUARANTINED, BadReference, bad_references, judge
from infrastructure.migration.restoring import TableDigest
from infrastructure.migration.targets import Target, Targets

_RECORDS: Final = 1_000
"""Records, streams or references whose histories are read together."""


class MigrationCheck:
    """One comparison. Ask for the mismatches of `records` first, then for the others.

    `shared` says that records of other systems came into the collection from elsewhere; with
    `repairs`, tickets that were repaired as recorded are listed too.
    `accounted` says where the records are, so far.
    """

    def __init__(
        self,
        log: EventLog,
        collection: str,
        system: str | None,
        catalogue: Catalogue,
        targets: Targets,
        shared: bool = False,
        dismissals: Dismissals | None = None,
        repairs: bool = False,
    ) -> None:
        self._log = log
        self._collection = collection
        self._system = system
        self._features = {
            name: system.features.keys() for name, system in catalogue.systems.items()
        }
        self._targets = targets
        self._shared = shared
        self._dismissals = dismissals
        self._repairs = repairs
        self._odd: dict[str, bytes] = {}
        self._digest = sha256()
        self.accounted = Accounted()

    @property
    def content(self) -> TableDigest:
        """The digest of the records that were compared."""
        return TableDigest(self.accounted.records, self._digest.hexdigest())

    def records(self, records: Iterable[bytes]) -> Iterator[Mismatch]:
        """Every record must be an equal ticket, one with exactly the recorded repairs, or in
        quarantine."""
        for chunk in chunks(records, _RECORDS):
            expectations = [
                (record, expect(record, self._system, self._features)) for record in chunk
            ]
            ids = {expected.id for _, expected in expectations if expected.id}
            histories = self._log.histories(ids)
            targets: list[tuple[str, Target]] = []
            for record, expected in expectations:
                self._digest.update(record)
                self.accounted.records += 1
                if expected.id is None:
                    self._odd[sha256(record).hexdigest()] = record
                    continue
                target, mismatches = self._judge(record, expected, histories.get(expected.id, ()))
                targets.append((expected.id, target))
                yield from mismatches
            self._targets.keep(targets)

    def extra(self) -> Iterator[Mismatch]:
        """Nothing may have been taken over that is not in the source; and records without an
        ObjectId, which are known by their digests alone, must be in quarantine."""
        odd, seen = dict(self._odd), set[str]()
        ours = (event.ticket_id for event in every_event(self._log) if self._is_ours(event))
        for chunk in chunks(ours, _RECORDS):
            unknown = set(chunk) - seen - self._targets.find(set(chunk)).keys()
            seen |= unknown
            for ticket_id, history in self._log.histories(unknown).items():
                last = [each.event for each in history if not is_change(each.event)][-1]
                quarantined = last if isinstance(last, LegacyRecordQuarantined) else None
                record = odd.get(quarantined.source.digest) if quarantined else None
                if quarantined and record is not None and _holds(quarantined, record):
                    del odd[quarantined.source.digest]
                else:
                    yield from self._surplus(ticket_id, history)
        self.accounted.quarantined += len(self._odd) - len(odd)
        nowhere = "its record is nowhere in quarantine"
        for record in odd.values():
            yield Mismatch(
                "missing", None, field="record", expected=_as_json(record), found=nowhere
            )

    def references(self, users: Iterable[bytes]) -> Iterator[Mismatch]:
        """Every `<system>.ticket` of a user must be a ticket of that system and organisation."""
        for chunk in chunks(bad_references(users, self._tickets_in_use), _RECORDS):
            sources = self._targets.find({bad.reference.ticket for bad in chunk})
            for bad in chunk:
                yield self._explained(bad, sources.get(bad.reference.ticket))

    def _judge(
        self, record: bytes, expected: ExpectedTicket | NoTicket, history: Sequence[Recorded]
    ) -> tuple[Target, list[Mismatch]]:
        """The ticket that users may refer to, if the source is right; and the mismatches here."""
        digest = sha256(record).hexdigest()
        taken = [
            each for each in history if self._is_ours(each) or _is_removal(each, self._collection)
        ]
        last = taken[-1].event if taken else None
        ticket = fold(history)
        if isinstance(expected, NoTicket):
            target = Target("", "", f"its record can be no ticket: {expected.because}")
            if is_completed(last, digest, history):
                self.accounted.changed_here += 1
                completed = (
                    f"the record can be no ticket ({expected.because}), and was completed here"
                )
                return target, [Mismatch("completed", expected.id, completed)]
            return target, self._in_quarantine(expected, record, digest, last)
        fields = expected.fields
        target = Target(fields["orgId"], fields["system"])
        if isinstance(last, LegacyRecordQuarantined) and last.source.digest == digest:
            owner = {"orgId": target.org_id, "system": target.system}
            its = {"orgId": ticket.org_id, "system": ticket.system} if ticket else owner
            if wrong := differences(expected.id, owner, its):
                return replace(target, reason=last.reason), wrong
            return target, [Mismatch("missing", expected.id, found=f"quarantined: {last.reason}")]
        if not isinstance(last, TicketImported) or ticket is None:
            why = "noted as gone" if isinstance(last, LegacyRecordRemoved) else None
            return target, [Mismatch("missing", expected.id, found=why)]
        changed = any(
            is_change(each.event) for each in history if each.position > taken[-1].position
        )
        compared = self._compared(expected, digest, last, ticket, changed)
        lost = [] if changed else replaced(expected.id, history)
        return target, [*compared, *lost]

    def _compared(
        self,
        expected: ExpectedTicket,
        digest: str,
        last: TicketImported,
        ticket: Ticket,
        changed: bool,
    ) -> list[Mismatch]:
        fields = dict(expected.fields)
        if last.source.digest != digest:
            if changed and ticket.updated_at > fields["updatedAt"]:
                self.accounted.changed_here += 1
                return kept_out(expected.id, digest, last, fields, ticket)
            wrong = differences(expected.id, fields, as_imported(last))
            return wrong or [
                Mismatch("content", expected.id, None, "digest", digest, last.source.digest)
            ]
        wanted = fields | {
            "unknown_features": list(expected.unknown),
            "repairs": sorted((*expected.mended, *left_out(expected.left_out))),
        }
        recorded = {
            "unknown_features": list(last.unknown_features),
            "repairs": repaired_fields(last.repairs),
        }
        present = as_imported(last) if changed else as_ticket(ticket)
        if wrong := differences(expected.id, wanted, present | recorded):
            return wrong
        if changed:
            self.accounted.changed_here += 1
        elif ticket.retired:
            return [Mismatch("content", expected.id, None, "retired", False, True)]
        elif last.repairs or last.unknown_features:
            self.accounted.repaired += 1
            return [repaired_as_recorded(expected.id, last)] if self._repairs else []
        else:
            self.accounted.equal += 1
        return []

    def _in_quarantine(
        self, expected: NoTicket, record: bytes, digest: str, last: Any
    ) -> list[Mismatch]:
        if not isinstance(last, LegacyRecordQuarantined) or last.source.digest != digest:
            return [Mismatch("missing", expected.id, found="it is not in quarantine")]
        if not _holds(last, record):
            return [Mismatch("content", expected.id, None, "record", _as_json(record), last.record)]
        self.accounted.quarantined += 1
        dismissal = self._dismissals.find(digest) if self._dismissals else None
        if dismissal is None:
            return []
        why = f"its record is in quarantine, and {dismissal.actor} dismissed it: {dismissal.reason}"
        return [Mismatch("dismissed", expected.id, why)]

    def _surplus(self, ticket_id: str, history: Sequence[Recorded]) -> Iterator[Mismatch]:
        last = max(i for i, recorded in enumerate(history) if not is_change(recorded.event))
        ticket = fold(history)
        if ticket and self._system not in (None, ticket.system):
            return  # of a record of another system, whose id is the same
        if isinstance(history[last].event, LegacyRecordRemoved):
            self.accounted.gone += 1
        elif ticket is None and self._shared:
            why = (
                "it is in quarantine, where it may be of another system, taken over from elsewhere"
            )
            yield Mismatch("extra", ticket_id, why)
        elif last < len(history) - 1:
            yield Mismatch("extra", ticket_id, "its record is gone, and it was changed here since")
        else:
            yield Mismatch("extra", ticket_id)

    def _is_ours(self, recorded: Recorded) -> bool:
        """Not of another migration, of another system."""
        return took_over(recorded, self._collection, self._system)

    def _tickets_in_use(self, ids: Collection[str]) -> Mapping[str, Target]:
        tickets = ((name, fold(history)) for name, history in self._log.histories(ids).items())
        return {
            name: Target(ticket.org_id, ticket.system)
            for name, ticket in tickets
            if ticket and not ticket.retired
        }

    def _is_retired(self, ticket_id: str) -> bool:
        ticket = fold(self._log.histories([ticket_id]).get(ticket_id, ()))
        return ticket is not None and ticket.retired

    def _explained(self, bad: BadReference, source: Target | None) -> Mismatch:
        reference, why = bad.reference, None
        if source is None:
            why = "there is no such ticket in the source either"
        elif there := judge(reference, source):
            bad, why = there, f"in the source as well: {there.detail}"
        elif self._is_retired(reference.ticket):
            why = "the ticket was retired here"
        return Mismatch(
            bad.kind,
            reference.ticket,
            why if bad.kind != QUARANTINED else bad.detail,
            user=reference.user,
            system=reference.system,
        )


def _is_removal(recorded: Recorded, collection: str) -> bool:
    event = recorded.event
    return isinstance(event, LegacyRecordRemoved) and event.collection == collection


def _holds(event: LegacyRecordQuarantined, record: bytes) -> bool:
    """Whether the record is in quarantine to the byte."""
    try:
        fields = json_util.loads(event.record)
        if set(fields) == {"$bytes"}:
            return b64decode(fields["$bytes"]) == record
        if set(fields) == {"$zlib"}:
            return zlib.decompress(b64decode(fields["$zlib"])) == record
        return bson.encode(fields) == record
    except Exception:  # it cannot be read again, for whatever reason
        return False


def _as_json(record: bytes) -> str:
    try:
        return json_util.dumps(bson.decode(record))
    except BSONError:
        return record.hex()
