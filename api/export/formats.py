"""The formats of an export. An export once made must stay verifiable, so none ever changes: another
shape is another version beside it.

Both hold one audit entry a line and end in a signed head (`api/export/export.py`). Besides the
entry, a line has

- `previous`: the hash of the event before it in the log, and
- `event`: the stored bytes of the event, as text.

With `position`, `ticketId`, `version` and `action`, which is the topic, that is all it takes to
compute the line's `hash` again (`domain/log/chain.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydantic_core import to_json

from api.export.cells import cells_of, json_cell, json_of, plain, row, title
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
    versions: range
    """The versions of the head that end such an export; the last is the one that is written."""
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
    versions = range(1, 3)
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


class FirstCsv:
    """The CSV of heads 1 and 2: no mark, few formulas, and only two of the line ends. No longer
    written."""

    name = "csv"
    media_type = "text/csv; charset=utf-8"
    versions = range(1, 3)
    begin = (",".join(FIELDS) + "\n").encode()

    def line(self, line: Line) -> bytes:
        return row([_cell(value) for value in line.fields().values()])

    def head(self, head: Mapping[str, Any]) -> bytes:
        return row([_HEAD, to_json(head).decode()])

    def fields(self, line: bytes) -> dict[str, Any]:
        cells: dict[str, Any] = dict(zip(FIELDS, cells_of(line), strict=True))
        for name in ("position", "version"):
            cells[name] = int(cells[name])
        for name in ("orgId", "system"):
            cells[name] = cells[name] or None
        cells["before"] = read_json(cells["before"]) if cells["before"] else None
        return cells

    def read_head(self, line: bytes) -> dict[str, Any] | None:
        if not line.startswith(_HEAD.encode()):
            return None
        _, head = cells_of(line)
        return dict(read_json(head))


class Csv(FirstCsv):
    """Comma-separated values (RFC 4180, but for the line feeds), with a byte order mark and a line
    of column names in quotes.

    An empty cell is null; before, after, granted, revoked and event are JSON. In other cells a line
    end of any kind is escaped (`\\n`, `\\u2028`), and an apostrophe goes before what a spreadsheet
    would take for a formula. The head is `#head` and, in the next cell, JSON.
    """

    versions = range(3, 4)
    begin = title(FIELDS)

    def line(self, line: Line) -> bytes:
        return row([_safe_cell(name, value) for name, value in line.fields().items()])

    def fields(self, line: bytes) -> dict[str, Any]:
        fields = super().fields(line)
        return fields | {"event": json_of(fields["event"])}


FORMATS: Final[dict[str, Format]] = {one.name: one for one in (Ndjson(), Csv())}
"""The formats that are written."""

KNOWN: Final[tuple[Format, ...]] = (*FORMATS.values(), FirstCsv())
"""The formats that are read."""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return to_json(value).decode()
    text = value.replace("\r", "\\r").replace("\n", "\\n")
    return f"'{text}" if text.startswith(_FORMULA) else text


def _safe_cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "event" or not isinstance(value, str):
        return json_cell(value if name == "event" else to_json(value).decode())
    return plain(value)
