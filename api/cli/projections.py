"""`ticketbook projections`: how the views stand, and what to do about it."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

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
from projections.operations import Step, rebuild, retry, status, verify
from projections.projection import Projected

app = typer.Typer(help="The views made from the events.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="tickets or audit.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]


@app.command("status", epilog=example("ticketbook projections status --json"))
def show_status(json: Json = False) -> None:
    """Where each projection stands. Exits with 1 when one is down or has parked tickets."""
    with opened() as service:
        found = [status(running.projected) for running in service.projections.values()]
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


@app.command("rebuild", epilog=example("ticketbook projections rebuild tickets"))
def rebuild_view(name: Name, dry_run: DryRun = False) -> None:
    """Empty a view and make it again from the first event. Readers see it fill up.

    Safe to interrupt: the service goes on where it stopped, or run it again.
    """
    with opened() as service:
        projected = _named(service, name)
        if dry_run:
            say(f"Would rebuild {name} from {service.log.head()} events.")
            return
        try:
            reached = rebuild(projected, holder(), _progress)
        except KeyboardInterrupt:
            say("\nInterrupted. The running service goes on by itself, or run the command again.")
            raise typer.Exit(Exit.INTERRUPTED) from None
    say(f"\nRebuilt {name} up to position {reached}.")


@app.command("verify", epilog=example("ticketbook projections verify audit --json"))
def verify_view(name: Name, json: Json = False) -> None:
    """Compare a view with the log. Exits with 1 when they differ."""
    with opened() as service:
        found = verify(_named(service, name))
    if json:
        print_json(asdict(found))
    else:
        for difference in found.differences:
            where = f" version {difference.version}" if difference.version else ""
            print(f"{difference.kind}: ticket {difference.ticket_id}{where}")
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


def _named(service: Service, name: str) -> Projected[Any]:
    if name not in service.projections:
        known: Sequence[str] = list(service.projections)
        raise typer.BadParameter(f"There is no projection {name!r}; there are {', '.join(known)}.")
    return service.projections[name].projected


def _progress(step: Step) -> None:
    left = (step.head - step.position) / max(step.events_per_second, 1e-9)
    line = (
        f"position {step.position} of {step.head}, "
        f"{step.events_per_second:,.0f} events/s, {left:.0f} s left"
    )
    print(f"\r{line:<70}", end="", file=sys.stderr, flush=True)
