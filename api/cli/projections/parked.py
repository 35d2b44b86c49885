"""What to do about tickets that wait because one of their events can not be projected."""

from typing import Annotated

import typer

from api.cli.opened import opened
from api.cli.output import Exit, say
from api.cli.projections.naming import DryRun, Name, named
from api.composition import holder
from projections.operations import retry


def retry_parked(
    name: Name,
    ticket_id: Annotated[str, typer.Argument(help="The parked ticket.")],
    dry_run: DryRun = False,
) -> None:
    """Apply what waits of a parked ticket. Exits with 1 when it fails again."""
    with opened() as service:
        projected = named(service, name).live.projected
        if dry_run:
            parked = projected.view.parked().get(ticket_id)
            say(f"Would retry from position {parked.position}." if parked else "It is not parked.")
            return
        failed = retry(projected, ticket_id, holder())
    if failed:
        say(f"Parked again at {failed.position}: {failed.error}")
        raise typer.Exit(Exit.DIFFERENT)
    say(f"Ticket {ticket_id} is applied to {name} and no longer parked.")
