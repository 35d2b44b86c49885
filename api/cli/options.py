"""The options and arguments that several commands take, and how their text is read. A moment
without a time zone is in UTC."""

import re
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


def hexadecimal(value: str | None) -> str | None:
    """For options that take an id: a wrong one would find nothing, and look like an answer."""
    if value is not None and not re.fullmatch("[0-9a-f]{24}", value):
        raise typer.BadParameter(f"{value!r} is not an id: 24 lower-case hexadecimal digits.")
    return value


Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
Organisation = Annotated[str | None, typer.Option(help="Organisation.", callback=hexadecimal)]
System = Annotated[str | None, typer.Option(help="System.")]
TicketId = Annotated[str | None, typer.Option(help="Ticket id.", callback=hexadecimal)]
EntryLimit = Annotated[int, typer.Option(min=1, max=100_000, help="Most entries.")]
TicketLimit = Annotated[int, typer.Option(min=1, max=100_000, help="Most tickets.")]
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
