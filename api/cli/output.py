"""How commands speak: exit codes, tables, JSON, and errors that say what to do next."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from logging import WARNING
from shutil import get_terminal_size
from time import monotonic
from typing import Any, Final

import typer

from domain.errors import (
    BackupUnusable,
    ChainBroken,
    ChangedHere,
    CommandInProgress,
    ConfigurationError,
    EventTooLarge,
    ExportBroken,
    Fenced,
    HeadMoved,
    JobRunning,
    KeyReused,
    LegacyUsersUnavailable,
    LogAhead,
    NotInQuarantine,
    NotProven,
    Overloaded,
    ProjectionBehind,
    Refusal,
    SourceUnusable,
    StoreCorrupt,
    StoreTooNew,
    StoreTooOld,
    StoreUnavailable,
    TicketbookError,
    TicketNotParked,
    VersionUnknown,
)
from infrastructure.terminal import masked, printable


class Exit(IntEnum):
    """The exit codes, each with what it means; `--help` and docs/operators.md list them."""

    meaning: str

    OK = 0, "done"
    DIFFERENT = 1, "a check found something, or a view is behind"
    USAGE = 2, "the command was written wrongly, or names something that is not there"
    CONFIGURATION = 3, "a setting or a file is wrong"
    STORE = 4, "the store does not answer or cannot be used, or the output cannot be written"
    TAKEN_OVER = 5, "somebody else took over or cancelled it"
    UNFORESEEN = 70, "a fault of the program; --debug shows where"
    INTERRUPTED = 130, "interrupted, or the reader of the output went away"

    def __new__(cls, code: int, meaning: str) -> "Exit":
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


EXIT_CODES: Final[Mapping[type[TicketbookError], Exit]] = {
    Refusal: Exit.USAGE,
    KeyReused: Exit.USAGE,
    EventTooLarge: Exit.USAGE,
    TicketNotParked: Exit.USAGE,
    VersionUnknown: Exit.USAGE,
    NotInQuarantine: Exit.USAGE,
    ConfigurationError: Exit.CONFIGURATION,
    StoreUnavailable: Exit.STORE,
    LogAhead: Exit.STORE,
    StoreTooNew: Exit.STORE,
    StoreTooOld: Exit.STORE,
    StoreCorrupt: Exit.STORE,
    SourceUnusable: Exit.STORE,
    BackupUnusable: Exit.STORE,
    LegacyUsersUnavailable: Exit.STORE,
    Overloaded: Exit.STORE,
    HeadMoved: Exit.STORE,
    Fenced: Exit.TAKEN_OVER,
    JobRunning: Exit.TAKEN_OVER,
    CommandInProgress: Exit.TAKEN_OVER,
    ProjectionBehind: Exit.DIFFERENT,
    ChainBroken: Exit.DIFFERENT,
    ExportBroken: Exit.DIFFERENT,
    NotProven: Exit.DIFFERENT,
    ChangedHere: Exit.DIFFERENT,
}
"""The exit code of each error, and of the kinds of it. A test holds that none is missing."""

_GAP: Final = "  "
"""Between two columns."""

_APART: Final = 10.0
_APART_ON_A_TERMINAL: Final = 0.2
"""Seconds between two lines of a kind."""

_NUMBER: Final = re.compile(r"\d")
_NOT_PLAIN: Final = re.compile(r"[^\n -~]")


def log_for_people() -> None:
    """Log warnings to stderr: for people on a terminal, as JSON lines elsewhere. Only a service
    logs how it goes on."""
    from infrastructure.logging import configure_logging  # loads what draws on a terminal

    configure_logging(json=not sys.stderr.isatty(), level=WARNING)


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
        """Leave the line as it is, and go on at the next one. True if there was a line."""
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
        text = printable(masked(text))
        if sys.stderr.isatty():
            print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(text)
        else:
            print(text, file=sys.stderr, flush=True)
        self._drawn = text


LINE: Final = Line()
"""There is one, as there is one terminal."""


def say(text: str, *, unmasked: bool = False) -> None:
    """Tell a person, on stderr, in a line of its own. Credentials are masked, unless they are the
    message itself."""
    if LINE.end():
        text = text.removeprefix("\n")
    shown_text = text if unmasked else masked(text)
    print(printable(shown_text, keep="\n"), file=sys.stderr, flush=True)


def counted(number: int, noun: str) -> str:
    """The number with its noun, in the plural unless it is one: 1 row, 1,204 rows."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def is_or_are(number: int) -> str:
    """The verb for so many."""
    return "is" if number == 1 else "are"


def was_or_were(number: int) -> str:
    """The same, of the past."""
    return "was" if number == 1 else "were"


def print_line(text: str) -> None:
    """Data on stdout, in a line of its own; control characters are escaped."""
    print(printable(text))


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """JSON on stdout. Characters that are invisible, or that the encoding lacks, are escaped."""
    from pydantic_core import to_json

    print(_NOT_PLAIN.sub(_in_json, to_json(value, indent=indent).decode()))


def _in_json(match: re.Match[str]) -> str:
    """The character, or an escape for it: only strings hold such characters."""
    character = match[0]
    try:
        character.encode(sys.stdout.encoding)
        if character.isprintable():
            return character
    except UnicodeEncodeError:
        pass
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A plain table on stdout. Nothing is cut: on a terminal that is too narrow for the rows, each
    is a record, with a line for each column. Piped tables are always rows."""
    from rich.cells import cell_len  # no command without a table waits for it

    cells = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    width = sum(widths) + len(_GAP) * (len(widths) - 1)
    if sys.stdout.isatty() and cells and width > get_terminal_size().columns:
        lines = _records(columns, cells)
    else:
        lines = [
            _GAP.join(
                cell + " " * (wide - cell_len(cell)) for cell, wide in zip(row, widths, strict=True)
            )
            for row in (columns, *cells)
        ]
    print("\n".join(line.rstrip() for line in lines))


def _records(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of records, with an empty one between two."""
    widest = max(map(len, columns))
    lines: list[str] = []
    for row in rows:
        lines += [""] * bool(lines)
        lines += [f"{name:<{widest}}{_GAP}{cell}" for name, cell in zip(columns, row, strict=True)]
    return lines


@contextmanager
def reporting() -> Iterator[None]:
    """Turn our errors into a sentence on stderr and an exit code."""
    try:
        yield
    except TicketbookError as error:
        say(f"ticketbook: {error}")
        raise typer.Exit(exit_code_of(type(error))) from error


def exit_code_of(error: type[TicketbookError]) -> Exit:
    """The exit code of a command that such an error ends."""
    codes = (EXIT_CODES[kind] for kind in error.__mro__ if kind in EXIT_CODES)
    return next(codes, Exit.UNFORESEEN)


def example(text: str) -> str:
    """The epilogue of a command's help."""
    return f"Example:  {text}"
