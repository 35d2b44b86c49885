"""The moment that a field of an old record means, however its writer stored it."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from bson import Decimal128, Int64, Timestamp

from domain.origin import milliseconds

_ISO: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]((?:[01][0-9]|2[0-3]):[0-5][0-9])(:[0-5][0-9])?"
    r"(?:[.,]([0-9]{1,20}))?(Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"
)
"""ISO 8601 with a time zone: seconds, the colon in the offset and its minutes may be left out, and
the seconds may have any number of decimals."""

_SOONEST: Final = 100_000_000_000
_LATEST: Final = 253_402_300_799_999
"""Milliseconds since 1970, in 1973 and in 9999. A smaller number may be seconds, a larger one is
microseconds: between them a number has one meaning."""

_NUMBERS: Final = (int, Int64, float, Decimal)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment_of(value: Any) -> tuple[datetime, str] | None:
    """The moment to the millisecond, and how it was stored, like "was text". None when the value
    means no moment, or more than one."""
    # exactly these types: BSON reads JavaScript code as a subclass of `str`, and True is an `int`
    if type(value) is str:
        moment = _written(value)
        return (moment, "was text") if moment else None
    if type(value) is Timestamp:
        return (value.as_datetime(), "was a timestamp") if value.time else None
    if type(value) is Decimal128:
        number = value.to_decimal()
        value = number if number.is_finite() else None
    if type(value) not in _NUMBERS or not _SOONEST <= value <= _LATEST:  # nor is "not a number"
        return None
    return _EPOCH + timedelta(milliseconds=int(value)), "was a number of milliseconds"


def _written(text: str) -> datetime | None:
    """The moment that a text names; None when it names none, or none without knowing where it was
    written."""
    parts = _ISO.fullmatch(text)
    if parts is None:
        return None
    day, minute, second, decimals, zone = parts.groups()
    if decimals and not second:
        return None
    try:
        read = datetime.fromisoformat(
            f"{day}T{minute}{second or ':00'}.{(decimals or '')[:3]:0<3}{zone}"
        )
        return milliseconds(read)
    except (ValueError, OverflowError):
        return None
