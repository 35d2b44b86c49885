"""`ticketbook audit verify`: the log, or an export, computed again and compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from api.cli.journaling import record
from api.cli.opening import open_for_command
from api.cli.options import Json
from api.cli.output import Exit, example, log_for_people, print_json, reporting, say
from api.cli.progress import Meter
from api.cli.waiting import wait_for_audit
from api.export.check import ExportReport, check_export
from api.export.heads import read_head
from api.use_cases.service import Service
from domain.errors import ConfigurationError, ProjectionBehind
from domain.log.chain import Head
from infrastructure.keys.signing_key import read_public_key, signing_key_of
from infrastructure.log.chain_check import check_chain
from infrastructure.terminal import printable
from projections.versions.verification import ViewMismatch, verify

app = typer.Typer()

Key = Annotated[Path | None, typer.Option(help="File with the public key; default: our own.")]


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
        reached = check_chain(service.log, heads, Meter().position)
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
                found = check_export(lines, public, Meter().lines)
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
