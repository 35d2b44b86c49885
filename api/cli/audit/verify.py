"""`ticketbook audit verify`: the log, or an export, computed again and compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from api.cli.journaling import record
from api.cli.opening import open_for_command
from api.cli.options import Json
from api.cli.output import (
    Exit,
    counted,
    example,
    is_or_are,
    log_for_people,
    print_json,
    print_line,
    reporting,
    say,
    was_or_were,
)
from api.cli.progress import Meter
from api.cli.waiting import wait_for_audit
from api.export.check import ExportReport, check_export
from api.export.heads import read_head
from api.use_cases.service import Service
from domain.errors import ConfigurationError, ProjectionBehind
from domain.log.chain import Head
from infrastructure.keys.signing_key import read_public_key, signing_key_of
from infrastructure.log.chain_check import check_chain
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
    yet. Anybody who can write to the store can also compute all hashes again: only --head shows
    that.
    """
    if export:
        _verify_export(export, key, head, json)
        return
    with open_for_command(watch=True) as service:
        heads = _heads(service, head or [], key)
        record(service, "audit.verified", {})
        reached = check_chain(service.log, heads, Meter().position)
        say(
            f"\n{counted(reached.position, 'event')} {is_or_are(reached.position)} what was hashed."
        )
        comparison = _compared(service) if view else _UNCOMPARED
    if json:
        print_json(
            {
                "position": reached.position,
                "hash": reached.hash.hex(),
                "audit": [
                    {"position": each.key, "kind": each.kind} for each in comparison.mismatches
                ],
                "parked": comparison.parked,
                "skipped": comparison.skipped,
                "behind": comparison.behind,
            }
        )
    else:
        print_line(f"position {reached.position} hash {reached.hash.hex()}")
    if comparison.mismatches or comparison.parked or comparison.behind:
        raise typer.Exit(Exit.DIFFERENT)


def _verify_export(export: Path, key: Path | None, head: list[Path] | None, json: bool) -> None:
    if key is None or head:
        raise typer.BadParameter("--export goes with --key, and not with --head.")
    log_for_people()
    with reporting():
        public = read_public_key(key)
        try:
            with export.open("rb") as lines:
                report = check_export(lines, public, Meter().lines)
        except OSError as error:
            raise ConfigurationError(f"{export} cannot be read: {error.strerror}.") from error
    say(f"\n{counted(report.entries, 'entry')} {is_or_are(report.entries)} what was signed.")
    if json:
        print_json(
            {
                "position": report.head.position,
                "hash": report.head.hash.hex(),
                "entries": report.entries,
                "filter": report.filter,
                "parked": report.parked,
                "skipped": report.skipped,
                "exportedAt": report.exported_at,
            }
        )
    else:
        print_line(f"position {report.head.position} hash {report.head.hash.hex()}")
        print_line(_summary(report))


def _summary(report: ExportReport) -> str:
    """The entries that an export was made of, and how many could not be there."""
    filters = ", ".join(f"{name}={value}" for name, value in report.filter.items())
    return (
        f"{f'only: {filters}' if filters else 'all entries'}; exported {report.exported_at}; "
        f"{counted(report.parked, 'ticket')} {was_or_were(report.parked)} parked, "
        f"{counted(report.skipped, 'event')} skipped"
    )


def _heads(service: Service, files: list[Path], key: Path | None) -> list[Head]:
    if not files:
        return []
    public = read_public_key(key) if key else signing_key_of(service.settings).public
    return [read_head(file, public) for file in files]


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The audit entries that are not what their events say, and those that could not be compared:
    of parked tickets, at positions that an operator skipped, or beyond a view that is behind."""

    mismatches: Sequence[ViewMismatch] = ()
    parked: Sequence[str] = ()
    skipped: Sequence[int] = ()
    behind: bool = False


_UNCOMPARED: Final = _Comparison()


def _compared(service: Service) -> _Comparison:
    say("Comparing the audit entries with the events …")
    behind, audit = False, service.audit
    try:
        wait_for_audit(service)
    except ProjectionBehind as error:
        behind = True
        say(str(error))
    report, skipped = verify(audit.live_version.projected), audit.versions.skipped()
    for difference in report.mismatches:
        say(f"Position {difference.key}: the audit entry is {difference.kind}.")
    for ticket_id in report.parked:
        say(f"parked, not compared: ticket {ticket_id}")
    for position, skip in sorted(skipped.items()):
        say(f"skipped, not compared: position {position}; {skip.actor} said: {skip.reason}")
    if not report.mismatches:
        say(f"{counted(report.rows, 'audit entry')} {is_or_are(report.rows)} what the events say.")
    return _Comparison(report.mismatches, report.parked, sorted(skipped), behind)
