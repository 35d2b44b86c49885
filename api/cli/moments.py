"""Moments and positions in options and arguments. Whoever names no time zone means UTC."""

from datetime import UTC, date, datetime
from typing import Annotated, Final

import typer

from api.wire.moments import EXAMPLE, LARGEST, day_of, moment_of, when_of

ZONE: Final = f"like 2025-10-28 or {EXAMPLE}; UTC unless it says otherwise"


def moment(text: str) -> datetime:
    """For options that take a moment."""
    try:
        return moment_of(text, UTC)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}") from None


def when(text: str) -> int | datetime:
    """For arguments that take a position or a moment."""
    try:
        return when_of(text, UTC)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}") from None


def day(text: str) -> date:
    """For arguments that take a day."""
    try:
        return day_of(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}") from None


Since = Annotated[
    datetime | None, typer.Option(parser=moment, help=f"From this moment on, {ZONE}.")
]
Before = Annotated[
    datetime | None,
    typer.Option(parser=moment, help="Up to this moment, itself left out; written the same."),
]
SincePosition = Annotated[
    int | None, typer.Option(min=0, max=LARGEST, help="From this position on.")
]
BeforePosition = Annotated[
    int | None,
    typer.Option(min=0, max=LARGEST, help="Up to this position, itself left out."),
]
