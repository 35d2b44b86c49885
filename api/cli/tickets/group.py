"""`ticketbook tickets`: what HTTP does under /v1/tickets, from the command line."""

import typer

from api.cli.tickets import commands, reading

app = typer.Typer(name="tickets", help="Create, find and change tickets.", no_args_is_help=True)
for group in (commands, reading):
    app.add_typer(group.app)
