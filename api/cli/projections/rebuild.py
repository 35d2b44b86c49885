"""`ticketbook projections rebuild`, and what follows from it."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, Final

import typer

from api.cli.journaling import record
from api.cli.opening import open_for_command
from api.cli.options import DryRun, Json
from api.cli.output import LINE, Exit, print_json, print_line, say
from api.cli.progress import with_rate
from api.cli.projections.arguments import Name, Names, chosen, named, where
from api.cli.projections.control import RateIfAny
from api.cli.projections.monitor import CommandMonitor
from api.use_cases.projections import prepare_rebuild, prepare_roll_back
from api.use_cases.service import Service
from domain.errors import VersionUnknown
from projections.versions.followed import LiveProjection
from projections.versions.outcome import Rebuilt, Step
from projections.versions.rebuild import Wanted

AcceptParked = Annotated[
    bool, typer.Option("--accept-parked", help="Switch even if that parks tickets shown now.")
]

_PARKED: Final = (
    "{name}: version {version} parks {count} ticket(s) that the live one shows; the live one "
    "stays.\nMend the cause, or pass over the event with ticketbook projections parked skip {name} "
    "TICKET, and\nrun this again: it goes on from here. Or have it switch with --accept-parked."
)


def rebuild_view(
    name: Name,
    dry_run: DryRun = False,
    accept_parked: AcceptParked = False,
    rate: RateIfAny = None,
    json: Json = False,
) -> None:
    """Build a new version of a view beside the live one, compare it, and switch to it.

    Readers and writers go on. With --dry-run it stops before the switch, and the same command
    without it goes on from there. Safe to interrupt: run it again. Exits with 1 when it did not
    switch because the new version is not what the log says, or parks what the live one shows, and
    when --dry-run found differences in the live one; with 5 when somebody cancelled it.
    """
    wanted = Wanted(dry_run=dry_run, accept_parked=accept_parked, rate=rate)
    with open_for_command() as service:
        task = prepare_rebuild(service, named(service, name), wanted)
        if not dry_run:
            record(service, task.action, {"projection": name})
        try:
            rebuilt = task.run(CommandMonitor(name, partial(_progress, name)))
        except KeyboardInterrupt:
            say("\nInterrupted. Run the command again: it goes on where it stopped.")
            raise typer.Exit(Exit.INTERRUPTED) from None
    LINE.end()
    if json:
        print_json(_json(rebuilt))
    else:
        _tell(name, rebuilt)
    if rebuilt.state == "refused" or (rebuilt.state == "compared" and rebuilt.live):
        raise typer.Exit(Exit.DIFFERENT)
    if rebuilt.state == "cancelled":
        raise typer.Exit(Exit.TAKEN_OVER)


def _tell(name: str, rebuilt: Rebuilt) -> None:
    for difference in rebuilt.live:
        print_line(f"{difference.kind} in the live version: {where(difference)}")
    for difference in rebuilt.new.mismatches if rebuilt.new else ():
        print_line(f"{difference.kind} in the new version: {where(difference)}")
    for parked in rebuilt.parked:
        print_line(
            f"parked in the new version: ticket {parked.ticket_id}, position {parked.position}"
        )
        say(f"  {parked.error}")
    if rebuilt.state == "refused" and rebuilt.new and not rebuilt.new.mismatches:
        say(_PARKED.format(name=name, version=rebuilt.version, count=len(rebuilt.parked)))
        return
    outcome = {
        "switched": f"is live, at position {rebuilt.position}.",
        "compared": "is ready; the live one stays.",
        "refused": "is not what the log says; the live one stays.",
        "cancelled": "was cancelled.",
    }[rebuilt.state]
    say(f"{name}: version {rebuilt.version} {outcome}")


def _json(rebuilt: Rebuilt) -> dict[str, Any]:
    """In JSON a mismatch is called a difference, as in `projections verify --json`."""
    body = asdict(rebuilt)
    if body["new"]:
        body["new"]["differences"] = body["new"].pop("mismatches")
    return body


def roll_back_view(name: Names = None, dry_run: DryRun = False) -> None:
    """Switch back at once to the version that was live before.

    Without NAME, in every projection that keeps one.
    """
    with open_for_command() as service:
        views = chosen(service, name)
        earlier = {each: view.versions.registry().kept for each, view in views.items()}
        if name is None and not any(earlier.values()):
            raise VersionUnknown(
                "No projection has an earlier version to go back to. "
                "One is kept after each rebuild, until drop-old."
            )
        for each, view in views.items():
            if earlier[each] or name:
                _roll_back(service, view, earlier[each], dry_run)


def _roll_back(
    service: Service, projection: LiveProjection[Any], earlier: Sequence[int], dry_run: bool
) -> None:
    name = projection.projection.name
    if dry_run:
        outcome = (
            f"would switch to version {earlier[0]}" if earlier else "there is none to go back to"
        )
        say(f"{name}: {outcome}.")
        return
    task = prepare_roll_back(projection, dry_run=dry_run)
    record(service, task.action, {"projection": name})
    say(f"{name}: version {task.run(CommandMonitor(name))} is live again.")


def _progress(name: str, step: Step) -> None:
    if step.phase == "paused":
        LINE.show(f"paused: go on with ticketbook projections resume {name}")
        return
    text, rate = f"{step.phase}: position {step.position} of {step.head}", step.events_per_second
    LINE.show(with_rate(text, step.position, rate, step.head, " events") if rate else text)
