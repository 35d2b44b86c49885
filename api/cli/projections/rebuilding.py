"""`ticketbook projections rebuild`, and what follows from it."""

from dataclasses import asdict
from typing import Annotated, Final

import typer

from api.cli.opened import opened
from api.cli.output import LINE, Exit, Json, print_json, say
from api.cli.projections.naming import DryRun, Name, named, where
from api.cli.recorded import record
from api.composition import holder
from api.workers import Workers, shares
from projections.rebuild import Rebuilt, Step, Wanted, drop_old, rebuild, roll_back

AcceptParked = Annotated[
    bool, typer.Option("--accept-parked", help="Switch even if that parks tickets shown now.")
]

_PARKED: Final = (
    "{name}: version {version} parks {count} ticket(s) that the live one shows; the live one "
    "stays.\nMend the cause, or pass over the event with ticketbook projections parked skip {name} "
    "TICKET, and\nrun this again: it goes on from here. Or have it switch with --accept-parked."
)


def rebuild_view(
    name: Name, dry_run: DryRun = False, accept_parked: AcceptParked = False, json: Json = False
) -> None:
    """Build a new version of a view beside the live one, compare it, and switch to it.

    Readers and writers go on. With --dry-run it stops before the switch, and the same command
    without it goes on from there. Safe to interrupt: run it again. Exits with 1 when it did not
    switch because the new version is not what the log says, or parks what the live one shows.
    """
    with opened() as service:
        projection = named(service, name)
        workers = Workers(service.settings)
        record(service, "projection.rebuilt", {"projection": name, "dryRun": dry_run})
        try:
            found = rebuild(
                projection,
                service.log.head,
                holder(),
                workers,
                shares(),
                _progress,
                Wanted(dry_run, accept_parked),
            )
        except KeyboardInterrupt:
            say("\nInterrupted. Run the command again: it goes on where it stopped.")
            raise typer.Exit(Exit.INTERRUPTED) from None
    LINE.end()
    if json:
        print_json(asdict(found))
    else:
        _tell(name, found)
    if found.state == "refused":
        raise typer.Exit(Exit.DIFFERENT)


def _tell(name: str, found: Rebuilt) -> None:
    for difference in found.live:
        print(f"{difference.kind} in the live version: {where(difference)}")
    for difference in found.new.differences if found.new else ():
        print(f"{difference.kind} in the new version: {where(difference)}")
    for parked in found.parked:
        print(f"parked in the new version: ticket {parked.ticket_id}, position {parked.position}")
        say(f"  {parked.error}")
    if found.state == "refused" and found.new and not found.new.differences:
        say(_PARKED.format(name=name, version=found.version, count=len(found.parked)))
        return
    say(
        {
            "switched": f"{name}: version {found.version} is live, at position {found.position}.",
            "compared": f"{name}: version {found.version} is ready; the live one stays.",
            "refused": f"{name}: version {found.version} is not what the log says; "
            "the live one stays.",
            "cancelled": f"{name}: version {found.version} was cancelled.",
        }[found.state]
    )


def roll_back_view(name: Name, dry_run: DryRun = False) -> None:
    """Switch back at once to the version that was live before."""
    with opened() as service:
        projection = named(service, name)
        if dry_run:
            kept = projection.versions.registry().kept
            say(f"Would switch to version {kept[0]}." if kept else "There is none to go back to.")
            return
        record(service, "projection.rolled_back", {"projection": name})
        say(f"{name}: version {roll_back(projection)} is live again.")


def drop_old_versions(name: Name, dry_run: DryRun = False) -> None:
    """Delete the versions that are kept beside the live one."""
    with opened() as service:
        projection = named(service, name)
        kept = projection.versions.registry().kept
        if not dry_run:
            record(service, "projection.old_dropped", {"projection": name, "versions": list(kept)})
            drop_old(projection)
    listed = ", ".join(map(str, kept)) or "none"
    say(f"{name}: {'would drop' if dry_run else 'dropped'} versions: {listed}.")


def _progress(step: Step) -> None:
    left = (step.head - step.position) / max(step.events_per_second, 1e-9)
    line = f"{step.phase}: position {step.position} of {step.head}"
    if step.events_per_second:
        line += f", {step.events_per_second:,.0f} events/s, {left:.0f} s left"
    LINE.show(line)
