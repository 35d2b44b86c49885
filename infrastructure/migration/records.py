"""The meaning of a record of the old system: a ticket, or a reason why it can be none.

Pure: the bytes of a BSON document go in, a command comes out. A field with one obvious
meaning is mended, and the command says so; a record without one is kept whole.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import filterfalse
from typing import Any, Final, TypeGuard

import bson
from bson import ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.errors import BSONError

from domain.catalogue import Catalogue
from domain.origin import Origin
from domain.ticket.commands import ImportTicket, QuarantineRecord, RenameTicket
from domain.ticket.events import LegacyRecordQuarantined, SourceRecord, TicketImported
from domain.ticket.handlers import check_name, unique
from infrastructure.migration.bson import fields_of
from infrastructure.migration.moments import moment_of
from infrastructure.migration.record_text import as_text

_KNOWN: Final = frozenset(
    ("_id", "name", "orgId", "system", "features", "createdAt", "updatedAt", "__v")
)
_NAIVE: Final = CodecOptions[dict[str, Any]](datetime_conversion=DatetimeConversion.DATETIME_AUTO)
"""Times in UTC without saying so: that takes two thirds of the time of saying it."""

_HEXADECIMAL: Final = re.compile("[0-9a-fA-F]{24}")
_EXACT: Final = 2**53
"""Below it a double holds every whole number."""

TEXT_BYTES: Final = 100_000
"""Most bytes of a record's name, features and other field names together. An audit entry holds
them before and after a change, and what was granted and revoked: it must fit into one document of
MongoDB, and hundreds of them into one transaction."""

_QUOTED: Final = 200
"""Characters of an error that stand in a reason: reasons are kept for ever."""

_PLAIN: Final = re.compile(r"[\w .:@/+-]{1,100}")


@dataclass(frozen=True, slots=True)
class Unusable(Exception):
    """Why a record can be no ticket."""

    reason: str


@dataclass(frozen=True, slots=True)
class Translation:
    """How the records of one collection are read.

    `system` is the one they all belong to, or None when each names its own.
    """

    collection: str
    system: str | None
    catalogue: Catalogue

    def command(
        self, record: bytes, origin: Origin, read_at: int | None = None
    ) -> ImportTicket | QuarantineRecord:
        """The command for a record that was read when the log ended at `read_at`."""
        try:
            fields = bson.decode(record, _NAIVE)
        except BSONError as error:
            reason = f"it is no readable BSON document ({str(error)[:_QUOTED]})"
            return self.quarantine(record, reason, origin, read_at)
        try:
            imported = self._imported(fields, sha256(record).hexdigest(), origin)
            if len(record) > TEXT_BYTES:
                _check_size(fields)
        except Unusable as unusable:
            return self.quarantine(record, unusable.reason, origin, read_at)
        return ImportTicket(stream_id(fields["_id"]), imported, read_at)

    def completed(
        self, record: bytes, name: str, origin: Origin, read_at: int
    ) -> tuple[ImportTicket, RenameTicket] | QuarantineRecord:
        """The commands for a record without a usable name, which gets one here: it is taken over
        without a name, and renamed. A record that has another fault stays in quarantine. Raises
        `InvalidName`."""
        check_name(name)
        try:
            fields = bson.decode(record, _NAIVE) | {"name": name}
            imported = self._imported(fields, sha256(record).hexdigest(), origin)
            _check_size(fields)
        except (BSONError, Unusable):
            command = self.command(record, origin, read_at)
            assert isinstance(command, QuarantineRecord)
            return command
        repairs = (*imported.repairs, "name was not usable: given here")
        nameless = replace(imported, name="", repairs=repairs)
        ticket_id = stream_id(fields["_id"])
        return (
            ImportTicket(ticket_id, nameless, read_at),
            RenameTicket(ticket_id, origin, None, None, name),
        )

    def quarantine(
        self, record: bytes, reason: str, origin: Origin, read_at: int | None = None
    ) -> QuarantineRecord:
        """Keep the record whole, for that reason."""
        digest, fields = sha256(record).hexdigest(), fields_of(record)
        source = SourceRecord(self.collection, digest, _revision(fields, []))
        quarantined = LegacyRecordQuarantined(origin, source, reason, as_text(record))
        name = stream_id(fields["_id"]) if "_id" in fields else f"record:{digest[:40]}"
        return QuarantineRecord(name, quarantined, read_at)

    def _imported(self, fields: Mapping[str, Any], digest: str, origin: Origin) -> TicketImported:
        repairs: list[str] = []
        record_id = fields.get("_id")
        if not isinstance(record_id, ObjectId):
            raise Unusable("its _id is not an ObjectId")
        org_id = _organisation(fields.get("orgId"), repairs)
        system = self._system(fields)
        features = _features(fields, repairs)
        known = self.catalogue.systems[system].features
        created = _moment(fields, "createdAt", repairs) or record_id.generation_time
        updated = _moment(fields, "updatedAt", repairs) or created
        revision = _revision(fields, repairs)
        if not _KNOWN.issuperset(fields):
            left_out = [name for name in fields if name not in _KNOWN]
            repairs.append(f"left out: {', '.join(left_out)}")
        unknown = tuple(filterfalse(known.__contains__, features))
        return TicketImported(
            origin=origin,
            org_id=org_id,
            system=system,
            name=_name(fields.get("name")),
            features=tuple(f for f in features if f in known) if unknown else features,
            created_at=created,
            updated_at=updated,
            source=SourceRecord(self.collection, digest, revision),
            repairs=tuple(repairs),
            unknown_features=unknown,
        )

    def _system(self, fields: Mapping[str, Any]) -> str:
        its_own = fields.get("system")
        if self.system is not None and its_own not in (None, self.system):
            raise Unusable("it names another system")
        system = its_own if self.system is None else self.system
        if not _is_text(system) or system not in self.catalogue.systems:
            raise Unusable("it names no system of the catalogue")
        return system


def _check_size(fields: Mapping[str, Any]) -> None:
    left_out = (name for name in fields if name not in _KNOWN)
    size = sum(
        len(text.encode()) for text in (fields["name"], *fields.get("features", ()), *left_out)
    )
    if size > TEXT_BYTES:
        raise Unusable(
            f"its name, features and field names take {size:,} bytes; at most {TEXT_BYTES:,} have "
            "a place in an audit entry"
        )


def stream_id(record_id: Any) -> str:
    """The stream of the record with this `_id`: as text, if no other `_id` has the same text."""
    if isinstance(record_id, ObjectId):
        return str(record_id)
    plain = _is_text(record_id) and _PLAIN.fullmatch(record_id)
    if plain and not _HEXADECIMAL.fullmatch(record_id) and not record_id.startswith("record:"):
        return str(record_id)
    return f"record:{sha256(bson.encode({'_id': record_id})).hexdigest()[:40]}"


def _is_text(value: Any) -> TypeGuard[str]:
    """Not an `isinstance`: JavaScript code is a `str` too as BSON is read here, but no text."""
    return type(value) is str


def _organisation(value: Any, repairs: list[str]) -> str:
    if isinstance(value, ObjectId):
        return str(value)
    if _is_text(value) and _HEXADECIMAL.fullmatch(value):
        repairs.append("orgId was text")
        return value.lower()
    raise Unusable("it has no organisation")


def _name(value: Any) -> str:
    if _is_text(value) and value.strip():
        return value
    raise Unusable("it has no usable name")


def _features(fields: Mapping[str, Any], repairs: list[str]) -> tuple[str, ...]:
    if "features" not in fields:  # the old system reads that as an empty list
        repairs.append("features were missing: none")
        return ()
    listed = fields["features"]
    if not isinstance(listed, list) or not {str}.issuperset(map(type, listed)):
        raise Unusable("its features are not a list of names")
    features = unique(listed)
    if len(features) != len(listed):
        repairs.append("a feature was listed more than once")
    return features


def _moment(fields: Mapping[str, Any], name: str, repairs: list[str]) -> datetime | None:
    value = fields.get(name)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    otherwise = "createdAt" if name == "updatedAt" else "from _id"
    if name not in fields:
        repairs.append(f"{name} was missing: {otherwise}")
    elif isinstance(value, DatetimeMS):
        repairs.append(f"{name} was out of range: {otherwise}")
    elif read := moment_of(value):
        moment, how = read
        repairs.append(f"{name} {how}")
        return moment
    else:
        repairs.append(f"{name} was no date: {otherwise}")
    return None


def _revision(fields: Mapping[str, Any], repairs: list[str]) -> int:
    value = fields.get("__v")
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        repairs.append("__v was a double")
        return int(value)
    repairs.append(f"__v was {'no whole number' if '__v' in fields else 'missing'}: 0")
    return 0
