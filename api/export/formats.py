"""The two formats of an export, in their version 1. An export once made must stay verifiable, so
neither ever changes: another shape is another version beside it.

Both hold one audit entry a line and end in a signed head (`api/export/export.py`). Besides the
entry, a line has

- `previous`: the hash of the event before it in the log, and
- `event`: the stored bytes of the event, as text.

With `position`, `ticketId`, `version` and `action`, which is the topic, that is all it takes to
compute the line's `hash` again (`domain/log/chain.py`).
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydantic_core import to_json

from api.wire.audit import audit_entry_json
from infrastructure.json_text import read_json
from projections.audit.projection import AuditEntry

_ENTRY: Final = (
    "position",
    "ticketId",
    "version",
    "orgId",
    "system",
    "action",
    "actor",
    "reason",
    "correlationId",
    "causationId",
    "occurredAt",
    "recordedAt",
    "before",
    "after",
    "granted",
    "revoked",
    "hash",
)
FIELDS: Final = (*_ENTRY, "previous", "event")
"""The keys of an NDJSON line and the columns of a CSV one, in their order."""

_HEAD: Final = "#head"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "'")


@dataclass(frozen=True, slots=True)
class Line:
    """One entry with what makes it verifiable. `previous` is in hexadecimal digits."""

    entry: AuditEntry
    previous: str
    event: str

    def fields(self) -> dict[str, Any]:
        """Its `FIELDS` as JSON values."""
        entry = audit_entry_json(self.entry)
        shown = {name: entry[name] for name in _ENTRY}
        return {**shown, "previous": self.previous, "event": self.event}


class Format(Protocol):
    """How lines and the head are written, to the byte. Each ends in a line feed and has no other.

    Only the shape of a line that is read back is checked: `ValueError`, `KeyError` and `TypeError`
    mean that it has another.
    """

    name: str
    media_type: str
    begin: bytes
    """The bytes before the first line."""

    def line(self, line: Line) -> bytes: ...

    def head(self, head: Mapping[str, Any]) -> bytes: ...

    def fields(self, line: bytes) -> dict[str, Any]:
        """The JSON values of a line, by field."""

    def read_head(self, line: bytes) -> dict[str, Any] | None:
        """The head that a line holds; None for any other line."""


class Ndjson:
    """Newline-delimited JSON: an object a line; the head is `{"head": …}`."""

    name = "ndjson"
    media_type = "application/x-ndjson"
    begin = b""

    def line(self, line: Line) -> bytes:
        return to_json(line.fields()) + b"\n"

    def head(self, head: Mapping[str, Any]) -> bytes:
        return to_json({"head": head}) + b"\n"

    def fields(self, line: bytes) -> dict[str, Any]:
        content = read_json(line)
        return {name: content[name] for name in FIELDS}

    def read_head(self, line: bytes) -> dict[str, Any] | None:
        if not line.startswith(b'{"head"'):
            return None
        head: dict[str, Any] = dict(read_json(line)["head"])
        return head


class Csv:
    """Comma-separated values (RFC 4180, but for the line feeds), with a line of column names.

    An empty cell is null; before, after, granted and revoked are JSON. In other cells a line break
    is written `\\n`, and an apostrophe goes before what a spreadsheet would take for a formula. The
    head is `#head` and, in the next cell, JSON.
    """

    name = "csv"
    media_type = "text/csv; charset=utf-8"
    begin = (",".join(FIELDS) + "\n").encode()

    def line(self, line: Line) -> bytes:
        return _row([_cell(value) for value in line.fields().values()])

    def head(self, head: Mapping[str, Any]) -> bytes:
        return _row([_HEAD, to_json(head).decode()])

    def fields(self, line: bytes) -> dict[str, Any]:
        cells: dict[str, Any] = dict(zip(FIELDS, _cells(line), strict=True))
        for name in ("position", "version"):
            cells[name] = int(cells[name])
        for name in ("orgId", "system"):
            cells[name] = cells[name] or None
        cells["before"] = read_json(cells["before"]) if cells["before"] else None
        return cells

    def read_head(self, line: bytes) -> dict[str, Any] | None:
        if not line.startswith(_HEAD.encode()):
            return None
        _, head = _cells(line)
        return dict(read_json(head))


FORMATS: Final[dict[str, Format]] = {one.name: one for one in (Ndjson(), Csv())}


class _Returning:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


_ROWS: Final = csv.writer(_Returning(), lineterminator="\n")


def _row(cells: Sequence[str]) -> bytes:
    written: Any = _ROWS.writerow(cells)
    return str(written).encode()


def _cells(line: bytes) -> list[str]:
    csv.field_size_limit(sys.maxsize)  # an event may be longer than the usual 128 KiB
    try:
        return next(csv.reader([line.decode()], strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return to_json(value).decode()
    text = value.replace("\r", "\\r").replace("\n", "\\n")
    return f"'{text}" if text.startswith(_FORMULA) else text
