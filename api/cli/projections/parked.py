"""`ticketbook projections parked`: tickets that wait because one of their events cannot be
projected."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from api.cli.journaling import os_user, record
from api.cli.opening import open_for_command
from api.cli.options import DryRun, Json, Reason
from api.cli.output import Exit, print_json, print_table, say
from api.cli.projections.arguments import Name, Names, chosen, named
from api.use_cases.service import Service
from api.wire.fields import iso
from api.wire.projections import parked_json
from infrastructure.ids import holder
from projections.running.projection import Parked
from projections.versions.followed import LiveProjection
from projections.versions.parked import (
    not_parked,
    parked_anywhere,
    parked_in,
    retry_everywhere,
    skip,
)

Ticket = Annotated[str, typer.Argument(help="The parked ticket.")]
All = Annotated[bool, typer.Option("--all", help="Every parked ticket.")]


def list_parked(name: Names = None, json: Json = False) -> None:
    """Print the parked tickets, oldest first; without NAME, of every projection. Exits with 1 when
    there are any."""
    with open_for_command() as service:
        tickets = {each: parked_anywhere(view) for each, view in chosen(service, name).items()}
    if json:
        bodies = {view: list(map(parked_json, parked)) for view, parked in tickets.items()}
        print_json(bodies[name] if name else bodies)
    elif any(tickets.values()):
        columns = ("projection", "ticket", "position", "since", "error")
        rows = [
            (view, ticket.ticket_id, ticket.position, iso(ticket.since), ticket.error)
            for view, parked in tickets.items()
            for ticket in parked
        ]
        print_table(columns[1:] if name else columns, [row[1:] if name else row for row in rows])
    if any(tickets.values()):
        raise typer.Exit(Exit.DIFFERENT)


def retry_parked(
    name: Name,
    ticket_id: Annotated[str | None, typer.Argument(help="The parked ticket.")] = None,
    every: All = False,
    dry_run: DryRun = False,
) -> None:
    """Apply the waiting events of a parked ticket, or of --all. Exits with 1 if one fails again."""
    if (ticket_id is None) != every:
        raise typer.BadParameter("Name one parked ticket, or say --all.")
    with open_for_command() as service:
        projection = named(service, name)
        waiting = parked_in(projection)
        if ticket_id is not None:
            waiting = [_parked(projection, waiting, ticket_id)]
        if dry_run:
            for parked in waiting:
                say(f"Would retry {parked.ticket_id} from position {parked.position}.")
            return
        retried = [_retry(service, projection, parked) for parked in waiting]
    if any(retried):
        raise typer.Exit(Exit.DIFFERENT)


def skip_parked(name: Name, ticket_id: Ticket, reason: Reason, dry_run: DryRun = False) -> None:
    """Pass over the event at which a ticket is parked, for good, and apply the later ones.

    Later rebuilds and verify pass over it too. Exits with 1 when the ticket parks again at a later
    event.
    """
    with open_for_command() as service:
        projection = named(service, name)
        parked = _parked(projection, parked_anywhere(projection), ticket_id)
        if dry_run:
            say(f"Would skip position {parked.position}: {parked.error}")
            return
        details = {"projection": name, "ticket": ticket_id, "position": parked.position}
        record(service, "projection.event_skipped", details | {"reason": reason})
        events = skip(projection, ticket_id, os_user(), reason, holder(), service.clock)
        again = [ticket for ticket in parked_in(projection) if ticket.ticket_id == ticket_id]
    say(f"{name} passes over {', '.join(str(event.position) for event in events)}.")
    for ticket in again:
        say(f"Parked again at {ticket.position}: {ticket.error}")
        raise typer.Exit(Exit.DIFFERENT)


def _retry(service: Service, projection: LiveProjection[Any], parked: Parked) -> Parked | None:
    name, ticket_id = projection.projection.name, parked.ticket_id
    record(service, "projection.ticket_retried", {"projection": name, "ticket": ticket_id})
    failed = retry_everywhere(projection, ticket_id, holder())
    if failed:
        say(f"Ticket {ticket_id} is parked again at {failed.position}: {failed.error}")
    else:
        say(f"Ticket {ticket_id} is applied to {name} and no longer parked.")
    return failed


def _parked(projection: LiveProjection[Any], waiting: Sequence[Parked], ticket_id: str) -> Parked:
    for parked in waiting:
        if parked.ticket_id == ticket_id:
            return parked
    raise not_parked(projection, ticket_id)
