"""ExportSource audit entries, line by line, in a form that can be checked without us.

The last line is a signed head: an object with

- `format`, `version`: of the export;
- `position`, `hash`: the head of the log that the export goes up to;
- `entries`, `sha256`: how many lines of entries there are, and SHA-256 over all bytes before the
  head's line;
- `filter`: which entries were asked for; `parked`: how many tickets were waiting in the audit
  log, whose later entries are not there yet; `skipped`: how many events up to the head the audit
  log passes over for good, because an operator said so;
- `exportedAt`: when it was begun;
- `key`, `signature`: the public key and its Ed25519 signature over `export_text`, in base64.

An export without it was interrupted, or cut. In version 1 nothing said what was skipped; version 3
ends the second shape of CSV, and is otherwise as version 2.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Protocol

from pydantic_core import to_json

from api.export.formats import Format, Line
from api.wire.fields import iso
from domain.errors import ChainBroken, ProjectionBehind
from domain.log.chain import START, Head, next_hash
from infrastructure.keys.signing_key import SigningKey
from infrastructure.log.ordered_log import Chained
from infrastructure.log.ticket_log import TicketLog
from projections.audit.projection import AuditEntry
from projections.audit.search import AuditFilter, EntryPage
from projections.running.projection import Parked

PAGE: Final = 500
"""Most entries in memory at once."""

_DENSE: Final = 8
"""Reading so many events in a row costs less than finding one by its position."""


class AuditVersion(Protocol):
    """The version of the audit log that is exported."""

    def checkpoint(self) -> int:
        """Position of the last event that it shows."""

    def parked(self) -> Mapping[str, Parked]:
        """The tickets that wait."""

    def page(
        self, where: AuditFilter, *, beyond: int | None, limit: int, newest_first: bool
    ) -> EntryPage:
        """Some entries, and where to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSource:
    """Everything that an export is made from."""

    view: AuditVersion
    log: TicketLog
    key: SigningKey
    where: AuditFilter
    style: Format
    began: datetime
    skipped: Callable[[], Collection[int]]
    """Tells the positions of the events that the audit log passes over."""


def export_text(head: Mapping[str, Any]) -> str:
    """The signed text of an export: a line for each part of its head, in UTF-8, with line feeds."""
    lines = [f"{name} {_said(head[name])}\n" for name in signed_parts(head["version"])]
    return "".join(["ticketbook export\n", *lines])


SIGNED: Final[Mapping[str, type]] = {
    "format": str,
    "version": int,
    "position": int,
    "hash": str,
    "entries": int,
    "sha256": str,
    "filter": dict,
    "parked": int,
    "skipped": int,
    "exportedAt": str,
}
"""The parts of a head that are signed, in their order, and what each of them is: the signed text
alone does not tell 1 from "1"."""


def signed_parts(version: object) -> Mapping[str, type]:
    """The same for a head of that version."""
    return {name: kind for name, kind in SIGNED.items() if name != "skipped" or version != 1}


def _said(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def export(source: ExportSource) -> Iterator[bytes]:
    """The export in pieces of some hundred lines, each read from the store when it is asked for.

    It ends where the audit log ended when it began, even if more is appended meanwhile. Raises
    `ChainBroken` before a line that would not be what was hashed: that is never signed.
    """
    head, parked = _head(source), len(source.view.parked())
    skipped = {position for position in source.skipped() if position <= head.position}
    entries, digest = 0, sha256(source.style.begin)
    if source.style.begin:
        yield source.style.begin
    for page in _pages(source, head):
        piece = b"".join(source.style.line(line) for line in _lines(source.log, page))
        digest.update(piece)
        entries += len(page)
        skipped.difference_update(entry.position for entry in page)  # skipped in other versions
        if piece:
            yield piece
    missing = {"parked": parked, "skipped": len(skipped)}
    yield source.style.head(_signed(source, head, entries, digest.hexdigest(), missing))


def _head(source: ExportSource) -> Head:
    position = source.view.checkpoint()
    if not position:
        return Head(0, START)
    return Head(position, _stored(source.log.at([position]), position).hash)


def _pages(source: ExportSource, head: Head) -> Iterator[Sequence[AuditEntry]]:
    before = min(source.where.before_position or head.position + 1, head.position + 1)
    where = replace(source.where, before_position=before)
    beyond: int | None = None
    while True:
        page = source.view.page(where, beyond=beyond, limit=PAGE, newest_first=False)
        if source.view.checkpoint() < head.position:
            raise ProjectionBehind(
                "The version of the audit log that was being exported was dropped. Export again."
            )
        yield page.entries
        beyond = page.beyond
        if beyond is None:
            return


def _lines(log: TicketLog, entries: Sequence[AuditEntry]) -> Iterator[Line]:
    stored = _events(log, [entry.position for entry in entries])
    for entry in entries:
        position = entry.position
        event = _stored(stored, position)
        previous = _stored(stored, position - 1).hash if position > 1 else START
        try:
            text = event.state.decode()
            hashed = next_hash(
                previous, position, entry.ticket_id, entry.version, entry.action, event.state
            )
            exact = hashed.hex() == entry.hash == event.hash.hex()
        except (AttributeError, OverflowError, TypeError, ValueError):
            exact = False
        if not exact:
            raise ChainBroken(position, "the entry is not what was hashed. Run audit verify.")
        yield Line(entry, previous.hex(), text)


def _events(log: TicketLog, positions: Sequence[int]) -> Mapping[int, Chained]:
    """The events at these positions and just before each."""
    if not positions:
        return {}
    first, last = positions[0], positions[-1]
    if last - first < _DENSE * len(positions):
        return log.between(max(first - 2, 0), last)
    return log.at(_with_previous(positions))


def _with_previous(positions: Collection[int]) -> set[int]:
    return {*positions, *(position - 1 for position in positions)}


def _stored(events: Mapping[int, Chained], position: int) -> Chained:
    if position not in events:
        raise ChainBroken(position, "the log has no event here any more. Run audit verify.")
    return events[position]


def _signed(
    source: ExportSource, head: Head, entries: int, digest: str, missing: Mapping[str, int]
) -> dict[str, Any]:
    chosen = {name: value for name, value in asdict(source.where).items() if value is not None}
    written = {
        "format": source.style.name,
        "version": source.style.versions[-1],
        "position": head.position,
        "hash": head.hash.hex(),
        "entries": entries,
        "sha256": digest,
        "filter": {n: iso(v) if isinstance(v, datetime) else v for n, v in chosen.items()},
        **missing,
        "exportedAt": iso(source.began),
    }
    signature = source.key.sign(export_text(written))
    return {**written, "key": source.key.public.name, "signature": signature}
