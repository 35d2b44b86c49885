"""`ticketbook projections verify`."""

from dataclasses import asdict

import typer

from api.cli.opened import opened
from api.cli.output import Exit, Json, print_json, say
from api.cli.projections.naming import Name, named, where
from projections.operations import verify


def verify_view(name: Name, json: Json = False) -> None:
    """Compare a view with the log. Exits with 1 when they differ."""
    with opened() as service:
        found = verify(named(service, name).live.projected)
    if json:
        print_json(asdict(found))
    else:
        for difference in found.differences:
            print(f"{difference.kind}: {where(difference)}")
        for ticket_id in found.parked:
            say(f"parked, not compared: ticket {ticket_id}")
        said = f"{len(found.differences)} differences" if found.differences else "no difference"
        say(f"{name}: {found.rows} rows compared up to position {found.position}: {said}.")
    if found.differences:
        raise typer.Exit(Exit.DIFFERENT)
