"""Moments and positions in queries."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, TypeAdapter

LARGEST: Final = 2**53
"""Of the positions that may be asked for: JSON numbers are exact up to there."""


def _written(given: str) -> str:
    """Not a bare number: pydantic would take it for seconds."""
    if not re.match(r"\d{4}-\d\d-\d\d", given):
        raise ValueError("write it like 2025-10-28T09:30:00Z")
    return given


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond the years 1 to 9999 in UTC") from None


_Written = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_in_utc)]
_WRITTEN: Final = TypeAdapter[datetime](_Written)


def moment_of(text: str) -> datetime:
    """Raises `ValueError` where that is no moment, or names no time zone."""
    return _WRITTEN.validate_python(text)


Moment = _Written | None

Since = Annotated[Moment, Query(description="From then on: ISO 8601 with a time zone")]
Before = Annotated[Moment, Query(description="Until then: ISO 8601 with a time zone")]
SincePosition = Annotated[
    int | None, Query(alias="sincePosition", ge=0, le=LARGEST, description="From there on")
]
BeforePosition = Annotated[
    int | None, Query(alias="beforePosition", ge=0, le=LARGEST, description="Until there")
]
