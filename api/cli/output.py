"""How commands speak: exit codes, tables, JSON, and errors that say what to do next."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from time import monotonic
from typing import Any, Final

import typer

from domain.errors import (
    BackupUnusable,
    ConfigurationError,
    Fenced,
    ProjectionBehind,
    SourceUnusable,
    StoreCorrupt,
    StoreTooNew,
    StoreTooOld,
    StoreUnavailable,
    TicketbookError,
    TicketNotParked,
    VersionUnknown,
)
from infrastructure.terminal import printable


class Exit(IntEnum):
    """What the exit codes mean; a table in docs/operators.md says so to operators."""

    OK = 0
    DIFFERENT = 1
    """A check found something: differences, a parked ticket, a projection that is down."""
    USAGE = 2
    CONFIGURATION = 3
    STORE = 4
    """The store, or the old system's, does not answer, is damaged, or is not as it should be."""
    TAKEN_OVER = 5
    INTERRUPTED = 130


_CODES: dict[type[TicketbookError], Exit] = {
    ConfigurationError: Exit.CONFIGURATION,
    StoreUnavailable: Exit.STORE,
    StoreTooNew: Exit.STORE,
    StoreTooOld: Exit.STORE,
    StoreCorrupt: Exit.STORE,
    SourceUnusable: Exit.STORE,
    BackupUnusable: Exit.STORE,
    Fenced: Exit.TAKEN_OVER,
    TicketNotParked: Exit.USAGE,
    VersionUnknown: Exit.USAGE,
    ProjectionBehind: Exit.DIFFERENT,
}

_WIDE: Final = 10_000
_APART: Final = 10.0
_APART_ON_A_TERMINAL: Final = 0.2
"""Seconds between two lines of a kind."""

_NUMBER: Final = re.compile(r"\d")


def log_for_people() -> None:
    """Log to stderr: for people on a terminal, as JSON lines elsewhere."""
    from infrastructure.logging import configure_logging  # loads what draws on a terminal

    configure_logging(json=not sys.stderr.isatty())


class Line:
    """How far work is: a line on stderr that is written over, until something else is said. Where
    stderr is no terminal, each is a line of its own. Shown are the first and the last of a kind,
    and between them one every ten seconds, on a terminal five a second. The text before the first
    number is a line's kind."""

    def __init__(self) -> None:
        self._shown = False
        self._width = 0
        self._kind: str | None = None
        self._drawn = ""
        self._held_back = ""
        self._drawn_at = 0.0

    def show(self, text: str) -> None:
        kind, now = _NUMBER.split(text, maxsplit=1)[0], monotonic()
        self._shown = True
        apart = _APART_ON_A_TERMINAL if sys.stderr.isatty() else _APART
        if kind == self._kind and now - self._drawn_at < apart:
            self._held_back = text if text != self._drawn else ""
            return
        if kind != self._kind:
            self._flush()
        self._draw(text)
        self._kind, self._held_back, self._drawn_at = kind, "", now

    def end(self) -> bool:
        """Leave the line as it is: what follows goes to the next one. Whether there was one."""
        shown, self._shown = self._shown, False
        self._flush()
        if self._width:
            print(file=sys.stderr, flush=True)
        self._width, self._kind = 0, None
        return shown

    def _flush(self) -> None:
        if self._held_back:
            self._draw(self._held_back)
        self._held_back = ""

    def _draw(self, text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(text)
        else:
            print(text, file=sys.stderr, flush=True)
        self._drawn = text


LINE: Final = Line()
"""There is one, as there is one terminal."""


def say(text: str) -> None:
    """Tell a person, on stderr, in a line of its own."""
    if LINE.end():
        text = text.removeprefix("\n")
    print(printable(text, keep="\n"), file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    from pydantic_core import to_json

    print(to_json(value, indent=2).decode())


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A plain table on stdout; what is piped is never folded to a terminal's width."""
    from rich.console import Console  # no command without a table waits for it
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    with console.capture() as printed:
        console.print(table)
    print("\n".join(line.rstrip() for line in printed.get().splitlines()))


@contextmanager
def reporting() -> Iterator[None]:
    """Turn our errors into a sentence on stderr and an exit code."""
    try:
        yield
    except TicketbookError as error:
        say(f"ticketbook: {error}")
        codes = [_CODES[kind] for kind in type(error).__mro__ if kind in _CODES]
        raise typer.Exit((codes or [Exit.DIFFERENT])[0]) from error


def example(text: str) -> str:
    """The epilogue of a command's help."""
    return f"Example:  {text}"
