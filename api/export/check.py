"""Checking an export with nothing but the exporter's public key: no store, no network."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from api.export.cells import MARK, cells_of
from api.export.export import export_text, signed_parts
from api.export.formats import FORMATS, KNOWN, Format, Line
from domain.errors import EventUnreadable, ExportBroken
from domain.log.chain import START, Head, next_hash
from infrastructure.keys.signing_key import PublicKey
from infrastructure.log import codec
from infrastructure.log.ordered_log import Chained
from projections.audit.projection import AuditEntry, TicketContent, entry_of

_LINES_A_STEP: Final = 5_000
"""Lines between two calls of `tell`."""

_REWRITTEN: Final = (
    "the file was written again by another program (line ends, byte order mark, or quotes). Verify "
    "the file as it was exported."
)
_MARKS: Final = (MARK.encode(), b"\xff\xfe", b"\xfe\xff")
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The contents of an export that was checked."""

    head: Head
    entries: int
    filter: Mapping[str, Any]
    """The filter of the entries; empty for all of them."""
    parked: int
    skipped: int
    exported_at: str


def check_export(
    lines: Iterable[bytes], key: PublicKey, tell: Callable[[int], None] = lambda _: None
) -> ExportReport:
    """Check every line by itself, its place among the others, and the signed head at the end.

    `lines` end in their line feeds. Raises `ExportBroken` at the first line where something is
    wrong. `tell` gets the number of lines checked so far.
    """
    style: Format | None = None
    head: dict[str, Any] | None = None
    digest, last, entries = sha256(), Head(0, START), 0
    number = 0
    for number, line in enumerate(lines, start=1):
        if head is not None:
            raise ExportBroken(number, "something follows the signed head.")
        if line.endswith(b"\r\n"):
            raise ExportBroken(number, _REWRITTEN)
        if style is None:
            style = _style_of(line)
            if line == style.begin:
                digest.update(line)
                continue
        head = _head_of(style, line, number)
        if head is None:
            last = _follow(last, style, line, number)
            entries += 1
            digest.update(line)
        if number % _LINES_A_STEP == 0:
            tell(number)
    if style is None or head is None:
        raise ExportBroken(number + 1, "the signed head is missing: the export was cut.")
    _check_head(head, key, style, number)
    if (head["entries"], head["sha256"]) != (entries, digest.hexdigest()):
        raise ExportBroken(number, "the lines before the head are not those that were signed.")
    _check_end(head, last, entries, number)
    return ExportReport(
        Head(head["position"], bytes.fromhex(head["hash"])),
        entries,
        head["filter"],
        head["parked"],
        head.get("skipped", 0),
        head["exportedAt"],
    )


def _style_of(line: bytes) -> Format:
    """The format of an export that begins with this line."""
    for style in KNOWN:
        if style.begin and style.begin == line:
            return style
    names = [style.begin.removeprefix(MARK.encode()).replace(b'"', b"") for style in KNOWN]
    bare = line.removeprefix(MARK.encode()).replace(b'"', b"")
    if line.startswith(_MARKS) or bare.rstrip(b"\r\n") in {name.rstrip() for name in names if name}:
        raise ExportBroken(1, _REWRITTEN)
    return FORMATS["ndjson"]


def _head_of(style: Format, line: bytes, number: int) -> dict[str, Any] | None:
    try:
        head = style.read_head(line)
        exact = head is None or style.head(head) == line
    except _UNREADABLE:
        exact = False
    if not exact:
        raise ExportBroken(number, "the signed head cannot be read.")
    return head


def _follow(last: Head, style: Format, line: bytes, number: int) -> Head:
    """The line's place in the chain. All its fields must be what its event says."""
    try:
        expected, stored = _expected(style, line)
        exact = style.line(expected) == line
    except (*_UNREADABLE, EventUnreadable):
        exact = False
    if not exact:
        changed = "it is not what was hashed, or shows what its event does not."
        raise ExportBroken(number, _REWRITTEN if _is_rewritten(style, line) else changed)
    position = expected.entry.position
    if position <= last.position:
        raise ExportBroken(number, f"position {position} stands after {last.position}.")
    if position == last.position + 1 and expected.previous != last.hash.hex():
        raise ExportBroken(number, f"position {position} does not follow the line before it.")
    return Head(position, stored)


def _expected(style: Format, line: bytes) -> tuple[Line, bytes]:
    """The line as its event says it must be, and the hash of that event."""
    fields = style.fields(line)
    position, previous = fields["position"], bytes.fromhex(fields["previous"])
    state = fields["event"].encode()
    stored = next_hash(
        previous, position, fields["ticketId"], fields["version"], fields["action"], state
    )
    event = Chained(
        fields["ticketId"], fields["version"], fields["action"], state, id=position, hash=stored
    )
    entry = entry_of(_before(fields), codec.decode(event))
    return Line(entry, fields["previous"], fields["event"]), stored


def _is_rewritten(style: Format, line: bytes) -> bool:
    """Whether a line of CSV holds the cells that one of ours would, written in another way."""
    for known in KNOWN if style.begin else ():
        try:
            expected, _ = _expected(known, line)
            if known.begin and cells_of(known.line(expected)) == cells_of(line):
                return True
        except (*_UNREADABLE, EventUnreadable):
            pass
    return False


def _before(fields: dict[str, Any]) -> AuditEntry | None:
    """The ticket's entry before this one, as far as the line holds it."""
    if fields["before"] is None and fields["orgId"] is None:
        return None
    before = fields["before"]
    content = before and TicketContent(before["name"], tuple(before["features"]), before["retired"])
    return AuditEntry(
        position=0,
        ticket_id=fields["ticketId"],
        version=0,
        org_id=fields["orgId"],
        system=fields["system"],
        action="",
        actor="",
        reason=None,
        correlation_id="",
        causation_id=None,
        occurred_at=_NEVER,
        recorded_at=_NEVER,
        before=None,
        after=content,
        granted=(),
        revoked=(),
        hash="",
    )


def _check_head(head: dict[str, Any], key: PublicKey, style: Format, number: int) -> None:
    if head.get("format") != style.name or not _is_known(head.get("version"), style):
        raise ExportBroken(
            number,
            f"this ticketbook reads {style.name} up to version {FORMATS[style.name].versions[-1]}.",
        )
    expected = {**signed_parts(head["version"]), "key": str, "signature": str}
    if [(name, type(part)) for name, part in head.items()] != list(expected.items()):
        raise ExportBroken(number, "the signed head has not the parts that it was signed with.")
    if head["key"] != key.name:
        raise ExportBroken(number, f"the head names the key {head['key']}, yours is {key.name}.")
    try:
        signed = key.signed(export_text(head), head["signature"])
    except _UNREADABLE:
        signed = False
    if not signed:
        raise ExportBroken(number, "the head was not signed with this key, or changed since.")
    if head["version"] not in style.versions:
        raise ExportBroken(number, _REWRITTEN)


def _is_known(version: object, style: Format) -> bool:
    """Whether some version of the format has a head of that version."""
    return type(version) is int and any(
        version in known.versions for known in KNOWN if known.name == style.name
    )


def _check_end(head: dict[str, Any], last: Head, entries: int, number: int) -> None:
    position = head["position"]
    if last.position > position:
        raise ExportBroken(number, f"position {last.position} is beyond the signed head.")
    if last.position == position and last.hash.hex() != head["hash"]:
        raise ExportBroken(number, f"position {last.position} has not the signed head's hash.")
    missing = position - entries - head.get("skipped", 0)
    if missing and not head["filter"] and not head["parked"]:
        raise ExportBroken(number, f"{missing} entries are missing.")
