"""Times in SQLite: whole milliseconds since 1970, which sort and compare as they should."""

from datetime import UTC, datetime, timedelta
from typing import Final

NOW: Final = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
"""The database's clock, in SQL."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def to_milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def from_milliseconds(count: int) -> datetime:
    return _EPOCH + count * _MILLISECOND
