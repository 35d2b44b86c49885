"""Moments and positions in queries."""

from datetime import date
from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError

from api.http.request.numbers import DIGITS
from api.wire.moments import LARGEST, day_of, moment_of

NOT_A_TIME = "not-a-time"
NOT_A_DAY = "not-a-day"


def _moment(text: str) -> object:
    try:
        return moment_of(text)
    except ValueError as error:
        raise PydanticCustomError(NOT_A_TIME, "{reason}", {"reason": str(error)}) from None


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)] | None


def _day(text: str) -> object:
    try:
        return day_of(text)
    except ValueError as error:
        raise PydanticCustomError(NOT_A_DAY, "{reason}", {"reason": str(error)}) from None


Day = Annotated[date, BeforeValidator(_day)]
"""A day, like 2025-10-28."""

Since = Annotated[Moment, Query(description="From then on: ISO 8601 with a time zone")]
Before = Annotated[
    Moment, Query(description="Until then, itself left out: ISO 8601 with a time zone")
]
SincePosition = Annotated[
    int | None,
    Query(alias="sincePosition", ge=0, le=LARGEST, description="From there on"),
    DIGITS,
]
BeforePosition = Annotated[
    int | None,
    Query(alias="beforePosition", ge=0, le=LARGEST, description="Until there, itself left out"),
    DIGITS,
]
