"""The log as it must be, derived a second time: for `verify`, apart from the code that takes over.

Nothing here is shared with `source.py` and `records.py` but the addresses: records are read and
understood in another way, so that a mistake there does not hide itself here.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import bson
from bson import Decimal128, Int64, ObjectId, Timestamp, json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from domain.errors import SourceUnusable
from infrastructure.migration.reading import reading, up_to_date
from infrastructure.migration.source import DatabaseSource, FolderSource

_RAW: Final[Any] = CodecOptions(document_class=RawBSONDocument)
_DECODED: Final[Any] = CodecOptions(
    tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
_ANY_DATE: Final = json_util.JSONOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
_NUMBERS: Final = (int, float, Int64, Decimal128)
_LARGEST: Final = 100_000
"""Bytes of text that a ticket may take over from a record."""

_DIGITS: Final = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class ExpectedTicket:
    """The ticket a record must have become. `fields` as mongoose would show them, with ids as
    text; `mended` are those of them that the record itself has not got like that; `left_out` are
    the record's other fields, and `unknown` features that the system does not have."""

    id: str
    fields: Mapping[str, Any]
    mended: frozenset[str]
    left_out: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoTicket:
    """A record that can be none, because of that field. `id` is None without an ObjectId."""

    id: str | None
    because: str


def read_again(source: DatabaseSource | FolderSource, collection: str) -> Iterator[bytes]:
    """The records of the source, in its order. Raises `SourceUnusable`, `StoreUnavailable`."""
    if isinstance(source, DatabaseSource):
        with reading(source.name), up_to_date(source.database.client) as session:
            cursor = source.collection(collection).find(session=session)
            for document in cursor.sort("$natural", 1).batch_size(1_000):
                yield bytes(document.raw)
        return
    for ending, read in _READERS.items():
        path = source.folder / f"{collection}{ending}"
        if path.is_file():
            with path.open("rb") as file:
                try:
                    yield from read(file)
                except (BSONError, ArithmeticError, RecursionError, TypeError, ValueError) as error:
                    raise SourceUnusable(f"{path} cannot be read to its end: {error}.") from error
            return
    raise SourceUnusable(f"There is no dump of {collection} in {source.folder}.")


def _from_bson(file: Any) -> Iterator[bytes]:
    for document in bson.decode_file_iter(file, _RAW):
        yield bytes(document.raw)


def _from_lines(file: Any) -> Iterator[bytes]:
    for line in file:
        if line.strip():
            yield bson.encode(json_util.loads(line.decode(), json_options=_ANY_DATE))


_READERS: Final[Mapping[str, Callable[[Any], Iterator[bytes]]]] = {
    ".bson": _from_bson,
    ".json": _from_lines,
    ".jsonl": _from_lines,
}


def expect(
    record: bytes, system: str | None, systems: Mapping[str, Collection[str]]
) -> ExpectedTicket | NoTicket:
    """The ticket that the record must have become, or why it is none. `systems` are the features
    of each system; `system` is the one that all records are of, or None when each names its own."""
    try:
        document = bson.decode(record, _DECODED)
    except BSONError:
        return NoTicket(None, "BSON")
    record_id = document.pop("_id", None)
    if type(record_id) is not ObjectId:
        return NoTicket(None, "_id")
    mended: set[str] = set()
    organisation, name = _organisation(document, mended), document.pop("name", None)
    its_own = document.pop("system", None)
    its_system = system if its_own is None else its_own
    if "features" not in document:
        mended.add("features")
    listed = document.pop("features", [])
    if organisation is None:
        return NoTicket(str(record_id), "orgId")
    if type(its_system) is not str or its_system not in systems or system not in (None, its_system):
        return NoTicket(str(record_id), "system")
    if type(listed) is not list or {type(value) for value in listed} - {str}:
        return NoTicket(str(record_id), "features")
    if type(name) is not str or not name.split():
        return NoTicket(str(record_id), "name")
    once = list(dict.fromkeys(listed))
    if len(once) < len(listed):
        mended.add("features")
    born = _time(document, "createdAt", record_id.generation_time, mended)
    fields = {
        "name": name,
        "orgId": organisation,
        "system": its_system,
        "features": [feature for feature in once if feature in systems[its_system]],
        "createdAt": born,
        "updatedAt": _time(document, "updatedAt", born, mended),
        "__v": _revision(document, mended),
    }
    if sum(len(text.encode()) for text in (name, *listed, *document)) > _LARGEST:
        return NoTicket(str(record_id), "size")
    unknown = tuple(feature for feature in once if feature not in systems[its_system])
    return ExpectedTicket(str(record_id), fields, frozenset(mended), tuple(document), unknown)


def _organisation(document: dict[str, Any], mended: set[str]) -> str | None:
    value = document.pop("orgId", None)
    if type(value) is ObjectId:
        return str(value)
    if type(value) is str and len(value) == 24 and set(value) <= _DIGITS:
        mended.add("orgId")
        return value.lower()
    return None


def _time(document: dict[str, Any], name: str, otherwise: datetime, mended: set[str]) -> datetime:
    value = document.pop(name, None)
    if isinstance(value, datetime):
        return value
    mended.add(name)
    if type(value) is str:
        return _read(value) or otherwise
    if type(value) is Timestamp:
        return datetime.fromtimestamp(value.time, UTC) if value.time else otherwise
    return _counted(value) or otherwise


def _read(text: str) -> datetime | None:
    """The moment in `2026-11-24T12:00:00.000Z`, or with an offset like `+01:00` in place of Z; the
    seconds, and the minutes of the offset, may be left out."""
    day, clock = text[:10], text[11:]
    if not text.isascii() or text[10:11] not in ("T", " "):
        return None
    place = max(clock.rfind(sign) for sign in "Z+-")
    local, zone = clock[: max(place, 0)], clock[max(place, 0) :].replace("Z", "+0000")
    local, _, decimals = local.replace(",", ".").partition(".")
    hours, minutes = zone[1:3], zone[3:].removeprefix(":") if len(zone) > 3 else "00"
    if ("." in clock or "," in clock) and not (len(local) == 8 and 0 < len(decimals) <= 20):
        return None
    numbers = (day.replace("-", "", 2), local.replace(":", "", 2), hours, minutes)
    if not all(number.isdigit() for number in (*numbers, decimals or "0")):
        return None
    if len(local) == 5:
        local += ":00"
    shift = timedelta(hours=int(hours), minutes=int(minutes))
    if len(hours + minutes) != 4 or minutes > "59" or hours > "23":
        return None
    try:
        read = datetime.strptime(f"{day} {local}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        utc = read - shift if zone[0] == "+" else read + shift
    except (ValueError, OverflowError):
        return None
    is_complete = f"{day} {local}" == read.isoformat(" ")[:19]  # no digit was missing
    thousandths = timedelta(milliseconds=int(decimals[:3].ljust(3, "0")))
    return utc + thousandths if is_complete else None


def _counted(value: Any) -> datetime | None:
    """The moment that a number of milliseconds since 1970 means; only from 1973 until 9999, where
    it can be no number of seconds or microseconds."""
    try:
        number = Decimal(str(value)) if type(value) in _NUMBERS else Decimal("NaN")
    except ArithmeticError:
        return None
    if number.is_nan() or not Decimal(10) ** 11 <= number < Decimal(253_402_300_800_000):
        return None
    seconds, thousandths = divmod(int(number), 1_000)
    return datetime.fromtimestamp(seconds, UTC) + timedelta(milliseconds=thousandths)


def _revision(document: dict[str, Any], mended: set[str]) -> int:
    value = document.pop("__v", None)
    if isinstance(value, int) and value is not True and value is not False:
        return int(value)
    mended.add("__v")
    exact = type(value) is float and value == value // 1 and -(2**53) < value < 2**53
    return int(value) if exact else 0
