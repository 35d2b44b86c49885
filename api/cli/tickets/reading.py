"""`ticketbook tickets list | show`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from api.cli.audit.filter import refuse_unknown_names
from api.cli.listing import read_listing
from api.cli.opening import open_for_command
from api.cli.options import All, Json, Limit, Organisation, System
from api.cli.output import example, print_json, print_table
from api.cli.tickets.options import COLUMNS, OfOrganisation, TicketArgument, row, ticket_body
from api.cli.waiting import wait_for_tickets
from domain.errors import TicketNotFound
from domain.ticket.state import Ticket, fold
from projections.tickets.search import TicketFilter, TicketSearch

app = typer.Typer()


@app.command("list", epilog=example("ticketbook tickets list --system workforce_2 --json"))
def list_tickets(
    org: Organisation = None,
    system: System = None,
    name: Annotated[str | None, typer.Option(help="The whole name.")] = None,
    name_contains: Annotated[
        str | None, typer.Option("--name-contains", help="Part of the name, in any case.")
    ] = None,
    feature: Annotated[str | None, typer.Option(help="That grant this feature.")] = None,
    retired: Annotated[
        bool, typer.Option("--retired", help="The retired tickets instead of those in use.")
    ] = False,
    limit: Limit = 50,
    everything: All = False,
    json: Json = False,
) -> None:
    """Print the tickets that match every option given, by id."""
    if name_contains == "":  # it would find everything, and look like an answer
        raise typer.BadParameter("--name-contains is empty.")
    search = TicketSearch(TicketFilter(org, system, name, feature), retired, name_contains)
    filters = {
        "org": org,
        "system": system,
        "name": name,
        "name contains": name_contains,
        "feature": feature,
    }
    with open_for_command(run=True, watch=True) as service:
        wait_for_tickets(service)
        refuse_unknown_names(service, system=system, feature=feature)

        def page(beyond: str | None, wanted: int) -> tuple[Sequence[Ticket], str | None]:
            read = service.tickets.view.search(search, beyond, wanted)
            return read.tickets, read.beyond

        listing = read_listing(page, None if everything else limit)
    if json:
        listing.print_json(ticket_body, "tickets")
    else:
        listing.print_table(COLUMNS, lambda ticket: [row(ticket)], "tickets", filters)


@app.command("show", epilog=example("ticketbook tickets show 6b0417f93d8b903e28dcca9b --json"))
def show(ticket: TicketArgument, org: OfOrganisation = None, json: Json = False) -> None:
    """Print one ticket as the log has it, retired or not."""
    with open_for_command() as service:
        state = fold(service.log.histories([ticket]).get(ticket, ()))
    if state is None or org not in (None, state.org_id):
        raise TicketNotFound(f"There is no ticket {ticket}.")
    if json:
        print_json(ticket_body(state))
    else:
        print_table(COLUMNS, [row(state)])
