"""`ticketbook`: one command, a group per noun."""

import os
import sys
from errno import ENOSPC
from typing import Any

import typer
from typer.core import TyperGroup

from api.cli import catalogue, legacy, projections
from api.cli.audit import export as evidence
from api.cli.audit import past
from api.cli.audit import search as audit
from api.cli.migrate import group as migrate
from api.cli.output import LINE, Exit, example, say
from api.cli.serve import serve
from api.cli.token import EXAMPLE_ORG, token


class Commands(TyperGroup):
    """Says of any command that it was interrupted, where that does not say it better itself, or
    that there is no room for what it prints; leaves the line that showed how far it was."""

    def invoke(self, ctx: Any) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                LINE.end()
                sys.stdout.flush()  # else it fails when nobody is left to say so
        except KeyboardInterrupt:  # left to typer, the command would end without a word
            say("\nInterrupted.")
            raise typer.Exit(Exit.INTERRUPTED) from None
        except OSError as error:
            if error.errno != ENOSPC or error.filename is not None:
                raise
            say(f"ticketbook: The output cannot be written: {error.strerror}.")
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left of it
            raise typer.Exit(Exit.STORE) from None


app = typer.Typer(
    name="ticketbook",
    cls=Commands,
    help="An event-sourced ticket service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command(epilog=example("ticketbook serve --port 8000"))(serve)
app.command(epilog=example(f"ticketbook token --sub ada --org {EXAMPLE_ORG} --scope audit:read"))(
    token
)
app.add_typer(projections.app, name="projections")
app.add_typer(migrate.app, name="migrate")
audit.app.add_typer(evidence.app)
audit.app.add_typer(past.app)
app.add_typer(audit.app, name="audit")
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(legacy.app, name="legacy")


def main() -> None:
    """The entry point of the installed command."""
    app()
