"""Times in SQLite: whole milliseconds since 1970, which sort and compare like the times."""

from datetime import UTC, datetime
from typing import Final

from domain.origin import MILLISECOND

NOW: Final = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
"""The database's clock, in SQL."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // MILLISECOND


def from_milliseconds(count: int) -> datetime:
    return _EPOCH + count * MILLISECOND
