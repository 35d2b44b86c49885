"""`ticketbook projections verify`."""

from typing import Annotated

import typer

from api.cli.opened import opened
from api.cli.output import Exit, Json, print_json, say
from api.cli.progress import Meter
from api.cli.projections.naming import DryRun, Name, named, where
from api.cli.recorded import record
from api.composition import holder
from api.http.projection_models import verification_json
from api.workers import Workers
from projections.operations import repair
from projections.verification import UNREADABLE, Verification, unreadable

Repair = Annotated[bool, typer.Option("--repair", help="Put right what differs.")]


def verify_view(
    name: Name, repairing: Repair = False, dry_run: DryRun = False, json: Json = False
) -> None:
    """Compare a view with the log, and put right what differs with --repair.

    Exits with 1 when differences remain.
    """
    with opened() as service:
        projection, workers, meter = named(service, name), Workers(service.settings), Meter()
        version, head = projection.versions.registry().live, service.log.head()

        def verified() -> Verification:
            found = workers.verify(name, version, lambda at: meter.tell("position", at, head))
            meter.end()
            return found

        mended, found = 0, verified()
        remaining, mendable = found, len(found.differences) - unreadable(found)
        if repairing and not dry_run and mendable:
            details = {"projection": name, "differences": mendable}
            record(service, "projection.repaired", details)
            mended = repair(projection.projected(version), found.differences, holder())
            remaining = verified()
    if json:
        print_json(verification_json(found) | {"remaining": len(remaining.differences)})
    else:
        for difference in found.differences:
            print(f"{difference.kind}: {where(difference)}")
        for ticket_id in found.parked:
            say(f"parked, compared up to there: ticket {ticket_id}")
        said = f"{len(found.differences)} differences" if found.differences else "no difference"
        say(f"{name}: {found.rows} rows compared up to position {found.position}: {said}.")
        if repairing and dry_run:
            say(f"Would repair {mendable}.")
        elif repairing:
            say(f"Repaired {mended}; {len(remaining.differences)} remain.")
    if unreadable(remaining):
        say(UNREADABLE)
    if remaining.differences:
        raise typer.Exit(Exit.DIFFERENT)
