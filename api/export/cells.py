"""Rows of comma-separated values that a spreadsheet shows as text and never runs.

The lists below never change: an export that was made once must be written again to the byte, and
tables of Unicode grow.
"""

import csv
import re
import sys
from collections.abc import Sequence
from typing import Any, Final

MARK: Final = "\ufeff"
"""Byte order mark: without it some spreadsheets read a file in the code page of their machine."""

_INVISIBLE: Final = (
    r"[\x00-\x20\x7f-\xa0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180e"
    r"\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]"
)
_FORMULA: Final = re.compile(
    rf"['\t]|{_INVISIBLE}*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b]"
)
"""The beginning of a formula: one of these, also full-width or small, behind blanks or not."""

_BREAK: Final = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""Whatever some program takes for the end of a line."""

_BREAK_IN_JSON: Final = re.compile("[\x85\u2028\u2029]")
"""The line ends that JSON does not escape by itself."""

_ESCAPED: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u(0085|2028|2029)")
_SHORT: Final = {"\n": "\\n", "\r": "\\r"}


class _Returning:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


_ROWS: Final = csv.writer(_Returning(), lineterminator="\n")
_QUOTED_ROWS: Final = csv.writer(_Returning(), lineterminator="\n", quoting=csv.QUOTE_ALL)


def row(cells: Sequence[str]) -> bytes:
    written: Any = _ROWS.writerow(cells)
    return str(written).encode()


def title(cells: Sequence[str]) -> bytes:
    """The first line of a file: the mark, and the names of the columns, each in quotes."""
    written: Any = _QUOTED_ROWS.writerow(cells)
    return f"{MARK}{written}".encode()


def cells_of(line: bytes) -> list[str]:
    """The cells of one line. Raises `ValueError` when it is none."""
    csv.field_size_limit(sys.maxsize)  # an event may be longer than the usual 128 KiB
    try:
        return next(csv.reader([line.decode()], strict=True))
    except (StopIteration, csv.Error) as error:
        raise ValueError(str(error)) from error


def plain(text: str) -> str:
    """The text in one line, with an apostrophe before what a spreadsheet would take for a
    formula."""
    one_line = _BREAK.sub(lambda end: _SHORT.get(end[0], _escape(end[0])), text)
    return f"'{one_line}" if _FORMULA.match(text) else one_line


def json_cell(text: str) -> str:
    """The JSON in one line, with the same meaning."""
    return _BREAK_IN_JSON.sub(lambda end: _escape(end[0]), text)


def json_of(cell: str) -> str:
    """The JSON that `json_cell` made the cell of, if it held none of its escapes itself."""
    return _ESCAPED.sub(lambda escape: escape[1] + chr(int(escape[2], 16)), cell)


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}"
