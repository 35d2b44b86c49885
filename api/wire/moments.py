"""Moments, and positions of the log, as people write them: the same in queries and in commands."""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from pydantic import TypeAdapter, ValidationError

from domain.origin import MILLISECOND

LARGEST: Final = 2**53
"""The largest position that a request may name: JSON numbers are exact up to there."""

POSITION: Final = "[0-9]{1,15}"
EXAMPLE: Final = "2025-10-28T09:30:00Z"

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LEAP_SECOND: Final = re.compile(r"[-0-9]{10}.[0-9]{2}:[0-9]{2}:60(?![0-9])")
_WRITTEN: Final = TypeAdapter(datetime)


def moment_of(text: str, zone: tzinfo | None = None) -> datetime:
    """The moment in UTC; `zone` is that of a text that names none. Raises `ValueError` when it is
    no moment, or nothing names a time zone."""
    if not _DAY.match(text):  # a bare number would be taken for seconds
        raise ValueError(f"That is not a moment. Write it like {EXAMPLE}.")
    if _LEAP_SECOND.match(text):
        raise ValueError(f"A leap second is written :59, not :60. Write it like {EXAMPLE}.")
    try:
        moment = _WRITTEN.validate_python(text)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"].rpartition(", ")[2]
        raise ValueError(f"That is not a moment: {reason}. Write it like {EXAMPLE}.") from None
    if moment.tzinfo is None:
        if zone is None:
            raise ValueError(f"That names no time zone. Write it like {EXAMPLE}.")
        moment = moment.replace(tzinfo=zone)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("That is beyond the years 1 to 9999 in UTC.") from None


def when_of(text: str, zone: tzinfo | None = None) -> int | datetime:
    """A position, or a moment. Raises `ValueError` when it is neither."""
    if re.fullmatch(POSITION, text):
        return int(text)
    if not _DAY.match(text):
        raise ValueError(f"That is neither a position nor a moment. Write it like {EXAMPLE}.")
    return moment_of(text, zone)


def day_of(text: str) -> date:
    """The day. Raises `ValueError` when it is none."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError("That is not a day. Write it like 2025-10-28.")


def span_of(day: date) -> tuple[datetime | None, datetime]:
    """The last moment before the day, None where there is none, and its own last one, in UTC."""
    begin = datetime.combine(day, time(), UTC)
    before = begin - MILLISECOND if day > date.min else None
    return before, begin + (timedelta(days=1) - MILLISECOND)


def no_position(position: int, head: int) -> str:
    """The message about a position that the log has not reached. It names the number, which may
    have been meant for a day."""
    return f"There is no position {position}: the log ends at position {head} now."
