"""`ticketbook projections verify`."""

from typing import Annotated, Any

import typer

from api.cli.journaling import record
from api.cli.opening import open_for_command
from api.cli.options import DryRun, Json
from api.cli.output import Exit, counted, print_json, print_line, say
from api.cli.progress import Meter
from api.cli.projections.arguments import Names, chosen, where
from api.cli.projections.monitor import CommandMonitor
from api.use_cases.projections import prepare_verify
from api.use_cases.service import Service
from api.wire.projections import verification_json
from projections.versions.outcome import Step
from projections.versions.repair import RepairReport
from projections.versions.verification import UNREADABLE, unreadable

Repair = Annotated[bool, typer.Option("--repair", help="Put the differences right.")]


def verify_view(
    name: Names = None, repairing: Repair = False, dry_run: DryRun = False, json: Json = False
) -> None:
    """Compare a view with the log, and put the differences right with --repair.

    Without NAME, every view. Exits with 1 when differences remain.
    """
    reports: dict[str, RepairReport] = {}
    with open_for_command() as service:
        for each in chosen(service, name):
            reports[each] = _verified(service, each, repairing, dry_run, quiet=json)
            if not json:
                _tell(each, reports[each], repairing, dry_run)
    remaining = [report.remaining for report in reports.values()]
    if json:
        bodies = {each: _json(report) for each, report in reports.items()}
        print_json(bodies[name] if name else bodies)
    if any(map(unreadable, remaining)):
        say(UNREADABLE)
    if any(report.mismatches for report in remaining):
        raise typer.Exit(Exit.DIFFERENT)


def _verified(
    service: Service, name: str, repairing: bool, dry_run: bool, *, quiet: bool
) -> RepairReport:
    def before_repair(places: int) -> None:
        record(service, "projection.repaired", {"projection": name, "differences": places})

    task = prepare_verify(
        service,
        service.projections[name],
        before_repair=before_repair if repairing else None,
        dry_run=dry_run,
    )
    if not dry_run:
        record(service, task.action, {"projection": name, "repair": repairing})
    meter, last = Meter(), 0

    def show(step: Step) -> None:
        nonlocal meter, last
        if step.position < last:  # verified once more, after the repair
            meter.end()
            meter = Meter()
        last = step.position
        meter.tell("position", step.position, step.head)

    report = task.run(CommandMonitor(name) if quiet else CommandMonitor(name, show))
    meter.end()
    return report


def _json(report: RepairReport) -> dict[str, Any]:
    return verification_json(report.found) | {"remaining": len(report.remaining.mismatches)}


def _tell(name: str, report: RepairReport, repairing: bool, dry_run: bool) -> None:
    first = report.found
    for difference in first.mismatches:
        print_line(f"{difference.kind}: {where(difference)}")
    for ticket_id in first.parked:
        say(f"parked, compared up to there: ticket {ticket_id}")
    outcome = counted(len(first.mismatches), "difference") if first.mismatches else "no difference"
    rows = counted(first.rows, "row")
    say(f"{name}: {rows} compared up to position {first.position}: {outcome}.")
    if repairing and dry_run:
        say(f"Would repair {len(first.mismatches) - unreadable(first)}.")
    elif repairing:
        say(f"Repaired {report.mended}; {len(report.remaining.mismatches)} remain.")
