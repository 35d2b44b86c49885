"""`ticketbook projections`: how the views stand, and what to do about it."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from api.builders import builders, shares
from api.cli.opened import opened
from api.cli.output import (
    Exit,
    Json,
    example,
    print_json,
    print_table,
    say,
)
from api.composition import Service, holder
from api.http.models import status_json
from projections.live import LiveProjection
from projections.operations import Difference, retry, status, verify
from projections.projection import Projected
from projections.rebuild import Rebuilt, Step, drop_old, rebuild, roll_back

app = typer.Typer(help="The views made from the events.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="tickets or audit.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]


@app.command("status", epilog=example("ticketbook projections status --json"))
def show_status(json: Json = False) -> None:
    """Where each projection stands. Exits with 1 when one is down or has parked tickets."""
    with opened() as service:
        found = [status(one.live.projected) for one in service.projections.values()]
    if json:
        print_json([status_json(one) for one in found])
    else:
        columns = ["projection", "state", "position", "head", "lag", "lag s", "parked", "holder"]
        rows = [
            (
                one.name,
                one.state,
                one.position,
                one.head,
                one.lag_events,
                f"{one.lag_seconds:.1f}",
                len(one.parked),
                one.lease.holder if one.lease and not one.lease.expired else "-",
            )
            for one in found
        ]
        print_table(columns, rows)
        for one in found:
            for parked in one.parked:
                say(f"{one.name}: ticket {parked.ticket_id} is parked at {parked.position}: ")
                say(f"  {parked.error}")
    if any(one.state == "down" or one.parked for one in found):
        raise typer.Exit(Exit.DIFFERENT)


@app.command("rebuild", epilog=example("ticketbook projections rebuild tickets --dry-run"))
def rebuild_view(name: Name, dry_run: DryRun = False, json: Json = False) -> None:
    """Build a new version of a view beside the live one, compare it, and switch to it.

    Readers and writers go on. With --dry-run it stops before the switch, and the same command
    without it goes on from there. Safe to interrupt: run it again. Exits with 1 when it did not
    switch because the new version is not what the log says.
    """
    with opened() as service:
        projection = _projection(service, name)
        start = builders(service.settings)
        try:
            found = rebuild(
                projection, service.log.head, holder(), start, shares(), _progress, dry_run=dry_run
            )
        except KeyboardInterrupt:
            say("\nInterrupted. Run the command again: it goes on where it stopped.")
            raise typer.Exit(Exit.INTERRUPTED) from None
    say("")
    if json:
        print_json(asdict(found))
    else:
        _tell(name, found)
    if found.state == "refused":
        raise typer.Exit(Exit.DIFFERENT)


def _tell(name: str, found: Rebuilt) -> None:
    for difference in found.live:
        print(f"{difference.kind} in the live version: {_where(difference)}")
    for difference in found.new.differences if found.new else ():
        print(f"{difference.kind} in the new version: {_where(difference)}")
    say(
        {
            "switched": f"{name}: version {found.version} is live, at position {found.position}.",
            "compared": f"{name}: version {found.version} is ready; the live one stays.",
            "refused": f"{name}: version {found.version} is not what the log says; "
            "the live one stays.",
            "cancelled": f"{name}: version {found.version} was cancelled.",
        }[found.state]
    )


@app.command("rollback", epilog=example("ticketbook projections rollback tickets"))
def roll_back_view(name: Name, dry_run: DryRun = False) -> None:
    """Switch back at once to the version that was live before."""
    with opened() as service:
        projection = _projection(service, name)
        if dry_run:
            kept = projection.versions.registry().kept
            say(f"Would switch to version {kept[0]}." if kept else "There is none to go back to.")
            return
        say(f"{name}: version {roll_back(projection)} is live again.")


@app.command("drop-old", epilog=example("ticketbook projections drop-old tickets"))
def drop_old_versions(name: Name, dry_run: DryRun = False) -> None:
    """Delete the versions that are kept beside the live one."""
    with opened() as service:
        projection = _projection(service, name)
        kept = projection.versions.registry().kept if dry_run else drop_old(projection)
    listed = ", ".join(map(str, kept)) or "none"
    say(f"{name}: {'would drop' if dry_run else 'dropped'} versions: {listed}.")


@app.command("verify", epilog=example("ticketbook projections verify audit --json"))
def verify_view(name: Name, json: Json = False) -> None:
    """Compare a view with the log. Exits with 1 when they differ."""
    with opened() as service:
        found = verify(_named(service, name))
    if json:
        print_json(asdict(found))
    else:
        for difference in found.differences:
            print(f"{difference.kind}: {_where(difference)}")
        for ticket_id in found.parked:
            say(f"parked, not compared: ticket {ticket_id}")
        said = f"{len(found.differences)} differences" if found.differences else "no difference"
        say(f"{name}: {found.rows} rows compared up to position {found.position}: {said}.")
    if found.differences:
        raise typer.Exit(Exit.DIFFERENT)


@app.command(
    "retry", epilog=example("ticketbook projections retry tickets 52f22665a60c12d289185d95")
)
def retry_parked(
    name: Name,
    ticket_id: Annotated[str, typer.Argument(help="The parked ticket.")],
    dry_run: DryRun = False,
) -> None:
    """Apply what waits of a parked ticket. Exits with 1 when it fails again."""
    with opened() as service:
        projected = _named(service, name)
        if dry_run:
            parked = projected.view.parked().get(ticket_id)
            say(f"Would retry from position {parked.position}." if parked else "It is not parked.")
            return
        failed = retry(projected, ticket_id, holder())
    if failed:
        say(f"Parked again at {failed.position}: {failed.error}")
        raise typer.Exit(Exit.DIFFERENT)
    say(f"Ticket {ticket_id} is applied to {name} and no longer parked.")


def _where(difference: Difference) -> str:
    if isinstance(difference.key, int):
        return f"position {difference.key}, ticket {difference.ticket_id or '-'}"
    return f"ticket {difference.key}"


def _projection(service: Service, name: str) -> LiveProjection[Any]:
    if name not in service.projections:
        known: Sequence[str] = list(service.projections)
        raise typer.BadParameter(f"There is no projection {name!r}; there are {', '.join(known)}.")
    return service.projections[name]


def _named(service: Service, name: str) -> Projected[Any]:
    """The live version."""
    return _projection(service, name).live.projected


def _progress(step: Step) -> None:
    left = (step.head - step.position) / max(step.events_per_second, 1e-9)
    line = f"{step.phase}: position {step.position} of {step.head}"
    if step.events_per_second:
        line += f", {step.events_per_second:,.0f} events/s, {left:.0f} s left"
    print(f"\r{line:<70}", end="", file=sys.stderr, flush=True)
