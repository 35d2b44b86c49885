"""The options and arguments that several commands take."""

import re
from typing import Annotated, Final

import typer

from api.cli.times import WORDS
from api.wire.fields import REASON_LENGTH
from api.wire.moments import EXAMPLE, LARGEST

MOMENT: Final = f"like 2025-10-28, {EXAMPLE}, {WORDS}"


def hexadecimal(value: str | None) -> str | None:
    """For options that take an id: a wrong one would find nothing, and look like an answer."""
    if value is not None and not re.fullmatch("[0-9a-f]{24}", value):
        raise typer.BadParameter(f"{value!r} is not an id: 24 lower-case hexadecimal digits.")
    return value


def reason(text: str) -> str:
    """For options that take a reason: it is kept for ever, like those of requests."""
    if not text.strip():
        raise typer.BadParameter("Say why: it is kept for ever.")
    if len(text) > REASON_LENGTH:
        raise typer.BadParameter(f"It has {len(text):,} characters; at most {REASON_LENGTH:,}.")
    return text


Reason = Annotated[str, typer.Option("--reason", callback=reason, help="Why; kept for ever.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
Organisation = Annotated[str | None, typer.Option(help="Organisation.", callback=hexadecimal)]
System = Annotated[str | None, typer.Option(help="System.")]
TicketId = Annotated[str | None, typer.Option(help="Ticket id.", callback=hexadecimal)]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="Most of what is printed.")]
All = Annotated[bool, typer.Option("--all", help="Print all, whatever the limit.")]
Since = Annotated[str | None, typer.Option(help=f"From this moment on, {MOMENT}.")]
Before = Annotated[
    str | None, typer.Option(help="Up to this moment, itself left out; written the same.")
]
SincePosition = Annotated[
    int | None, typer.Option(min=0, max=LARGEST, help="From this position on.")
]
BeforePosition = Annotated[
    int | None,
    typer.Option(min=0, max=LARGEST, help="Up to this position, itself left out."),
]
