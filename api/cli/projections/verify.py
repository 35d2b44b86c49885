"""`ticketbook projections verify`."""

from typing import Annotated, Any

import typer

from api.cli.journaling import record
from api.cli.opening import open_for_command
from api.cli.output import Exit, Json, print_json, say
from api.cli.progress import Meter
from api.cli.projections.arguments import DryRun, Names, chosen, where
from api.composition import holder
from api.use_cases.service import Service
from api.wire.projections import verification_json
from projections.versions.expected import unheard
from projections.versions.repair import RepairReport, check
from projections.versions.verification import UNREADABLE, ViewReport, unreadable

Repair = Annotated[bool, typer.Option("--repair", help="Put right what differs.")]


def verify_view(
    name: Names = None, repairing: Repair = False, dry_run: DryRun = False, json: Json = False
) -> None:
    """Compare a view with the log, and put right what differs with --repair.

    Without NAME, every view. Exits with 1 when differences remain.
    """
    checked: dict[str, RepairReport] = {}
    with open_for_command() as service:
        for one in chosen(service, name):
            if not dry_run:
                record(service, "projection.verified", {"projection": one, "repair": repairing})
            checked[one] = _checked(service, one, repairing and not dry_run, json)
            if not json:
                _tell(one, checked[one], repairing, dry_run)
    remaining = [one.remaining for one in checked.values()]
    if json:
        found = {one: _json(told) for one, told in checked.items()}
        print_json(found[name] if name else found)
    if any(map(unreadable, remaining)):
        say(UNREADABLE)
    if any(one.mismatches for one in remaining):
        raise typer.Exit(Exit.DIFFERENT)


def _checked(service: Service, name: str, repairing: bool, quiet: bool) -> RepairReport:
    projection, workers = service.projections[name], service.workers
    version, head = projection.versions.registry().live, service.log.head()

    def verified() -> ViewReport:
        meter = Meter()
        at = unheard if quiet else lambda position: meter.tell("position", position, head)
        found = workers.verify(name, version, at)
        meter.end()
        return found

    def before(places: int) -> None:
        record(service, "projection.repaired", {"projection": name, "differences": places})

    mending = before if repairing else None
    return check(projection.projected(version), verified, holder(), mending)


def _json(checked: RepairReport) -> dict[str, Any]:
    return verification_json(checked.found) | {"remaining": len(checked.remaining.mismatches)}


def _tell(name: str, checked: RepairReport, repairing: bool, dry_run: bool) -> None:
    found = checked.found
    for difference in found.mismatches:
        print(f"{difference.kind}: {where(difference)}")
    for ticket_id in found.parked:
        say(f"parked, compared up to there: ticket {ticket_id}")
    said = f"{len(found.mismatches)} differences" if found.mismatches else "no difference"
    say(f"{name}: {found.rows} rows compared up to position {found.position}: {said}.")
    if repairing and dry_run:
        say(f"Would repair {len(found.mismatches) - unreadable(found)}.")
    elif repairing:
        say(f"Repaired {checked.mended}; {len(checked.remaining.mismatches)} remain.")
