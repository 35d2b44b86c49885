"""`ticketbook audit head | key | verify | export`: what shows that nothing was changed."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import Annotated, Final

import typer

from api.cli.audit.filter import filtered, given
from api.cli.journaling import record
from api.cli.opening import open_for_command
from api.cli.output import (
    LINE,
    Exit,
    Json,
    example,
    log_for_people,
    print_json,
    print_table,
    reporting,
    say,
)
from api.cli.waiting import wait_for_audit, wait_for_audit_of
from api.export.check import ExportReport, check_export
from api.export.export import Exporting, export
from api.export.formats import FORMATS
from api.export.heads import read_head, signed_head
from api.use_cases.service import Service
from domain.errors import ConfigurationError, ProjectionBehind
from domain.log.chain import Head
from domain.origin import milliseconds
from infrastructure.configuration.settings import load_settings
from infrastructure.keys.signing_key import read_public_key, signing_key_of
from infrastructure.log.chain_check import check_chain
from infrastructure.terminal import printable
from projections.audit.search import AuditFilter
from projections.versions.verification import ViewMismatch, verify

app = typer.Typer()


class Style(StrEnum):
    """The formats of an export."""

    NDJSON = "ndjson"
    CSV = "csv"


Key = Annotated[Path | None, typer.Option(help="File with the public key; default: our own.")]


@app.command("head", epilog=example("ticketbook audit head --json > head.json"))
def head(json: Json = False) -> None:
    """Print where the log ends, signed. Keep it elsewhere: it shows later whether the log was
    rewritten."""
    with open_for_command() as service:
        key = signing_key_of(service.settings)
        record(service, "audit.head_read", {})
        found = signed_head(service.log.ending(), service.clock(), key)
    if json:
        print_json(found)
    else:
        print_table(list(found), [list(found.values())])


@app.command("key", epilog=example("ticketbook audit key > ticketbook.pub"))
def key() -> None:
    """Print the public key that heads and exports are checked with."""
    log_for_people()
    with reporting():
        print(signing_key_of(load_settings()).public.pem, end="")


@app.command("export", epilog=example("ticketbook audit export --format csv > audit.csv"))
@filtered
def export_entries(
    where: AuditFilter,
    style: Annotated[Style, typer.Option("--format", help="ndjson or csv.")] = Style.NDJSON,
) -> None:
    """Print every entry that matches, oldest first, with all it takes to check it. The last line
    is signed; without it the export was interrupted."""
    with open_for_command(watch=True) as service:
        wait_for_audit_of(service, where)
        audit = service.audit
        key, began = signing_key_of(service.settings), milliseconds(service.clock())
        asked = Exporting(
            *(audit.live_version.view, service.log, key, where, FORMATS[style.value], began),
            audit.versions.skipped,
        )
        record(service, "audit.exported", given(where) | {"format": style.value})
        try:
            _write(export(asked))
        except BrokenPipeError:  # whoever reads it has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(Exit.INTERRUPTED) from None


@app.command("verify", epilog=example("ticketbook audit verify --head head.json"))
def verify_log(
    head: Annotated[
        list[Path] | None, typer.Option(help="A head signed earlier; may be given repeatedly.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Check this export instead; needs --key and no store.")
    ] = None,
    key: Key = None,
    view: Annotated[bool, typer.Option(help="Compare the audit entries with the events.")] = True,
    json: Json = False,
) -> None:
    """Compute the hash chain again from the log, and compare the audit entries with it.

    Exits with 1 and names the first bad position when anything was changed, and also when entries
    could not be compared: those of parked tickets, or of events that the audit log does not show
    yet. Who can write to the store can also compute all hashes again: that shows with --head alone.
    """
    if export:
        _verify_export(export, key, head, json)
        return
    with open_for_command(watch=True) as service:
        heads = _heads(service, head or [], key)
        record(service, "audit.verified", {})
        reached = check_chain(service.log, heads, _progress())
        say(f"\n{reached.position} events are what was hashed.")
        found = _compared(service) if view else _UNCOMPARED
    if json:
        print_json(
            {
                "position": reached.position,
                "hash": reached.hash.hex(),
                "audit": [{"position": one.key, "kind": one.kind} for one in found.mismatches],
                "parked": found.parked,
                "skipped": found.skipped,
                "behind": found.behind,
            }
        )
    else:
        print(f"position {reached.position} hash {reached.hash.hex()}")
    if found.mismatches or found.parked or found.behind:
        raise typer.Exit(Exit.DIFFERENT)


def _verify_export(export: Path, key: Path | None, head: list[Path] | None, json: bool) -> None:
    if key is None or head:
        raise typer.BadParameter("--export goes with --key, and not with --head.")
    log_for_people()
    with reporting():
        public = read_public_key(key)
        try:
            with export.open("rb") as lines:
                found = check_export(lines, public, _counting("lines"))
        except OSError as error:
            raise ConfigurationError(f"{export} cannot be read: {error.strerror}.") from error
    say(f"\n{found.entries} entries are what was signed.")
    if json:
        print_json(
            {
                "position": found.head.position,
                "hash": found.head.hash.hex(),
                "entries": found.entries,
                "filter": found.filter,
                "parked": found.parked,
                "skipped": found.skipped,
                "exportedAt": found.exported_at,
            }
        )
    else:
        print(f"position {found.head.position} hash {found.head.hash.hex()}")
        print(printable(_what(found)))


def _what(found: ExportReport) -> str:
    """What an export is of, and what of it could not be there."""
    asked = ", ".join(f"{name}={value}" for name, value in found.filter.items())
    return (
        f"{f'only: {asked}' if asked else 'all entries'}; exported {found.exported_at}; "
        f"{found.parked} tickets were parked, {found.skipped} events skipped"
    )


def _write(pieces: Iterable[bytes]) -> None:
    tell, written = _counting("lines"), 0
    for piece in pieces:
        sys.stdout.buffer.write(piece)
        written += piece.count(b"\n")
        tell(written)
    sys.stdout.buffer.flush()
    say("")


def _heads(service: Service, files: list[Path], key: Path | None) -> list[Head]:
    if not files:
        return []
    public = read_public_key(key) if key else signing_key_of(service.settings).public
    return [read_head(file, public) for file in files]


@dataclass(frozen=True, slots=True)
class _Compared:
    """Where audit entries are not what their events say, and which could not be compared: those of
    parked tickets, at positions that an operator had skipped, or beyond a view that is behind."""

    mismatches: Sequence[ViewMismatch] = ()
    parked: Sequence[str] = ()
    skipped: Sequence[int] = ()
    behind: bool = False


_UNCOMPARED: Final = _Compared()


def _compared(service: Service) -> _Compared:
    say("Comparing the audit entries with the events …")
    behind, audit = False, service.audit
    try:
        wait_for_audit(service)
    except ProjectionBehind as error:
        behind = True
        say(str(error))
    found, skipped = verify(audit.live_version.projected), audit.versions.skipped()
    for difference in found.mismatches:
        say(f"Position {difference.key}: the audit entry is {difference.kind}.")
    for ticket_id in found.parked:
        say(f"parked, not compared: ticket {ticket_id}")
    for position, one in sorted(skipped.items()):
        say(f"skipped, not compared: position {position}; {one.actor} said: {one.reason}")
    if not found.mismatches:
        say(f"{found.rows} audit entries are what the events say.")
    return _Compared(found.mismatches, found.parked, sorted(skipped), behind)


def _progress() -> Callable[[int, int], None]:
    started = monotonic()

    def tell(position: int, end: int) -> None:
        rate = position / max(monotonic() - started, 1e-9)
        left = (end - position) / max(rate, 1e-9)
        LINE.show(f"position {position} of {end}, {rate:,.0f} events/s, {left:.0f} s left")

    return tell


def _counting(what: str) -> Callable[[int], None]:
    started = monotonic()

    def tell(count: int) -> None:
        rate = count / max(monotonic() - started, 1e-9)
        LINE.show(f"{count} {what}, {rate:,.0f} {what}/s")

    return tell
