"""`ticketbook audit`: who changed what, for somebody with access to the store."""

import typer

from api.cli.audit import export, heads, past, search, verify

app = typer.Typer(name="audit", help="The audit log.", no_args_is_help=True)
for commands in (search, heads, export, verify, past):
    app.add_typer(commands.app)
