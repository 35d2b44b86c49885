"""`ticketbook`: one command, a group per noun, each loaded when it is used."""

import sys
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from api.cli.outermost import DEBUG, run
from api.cli.output import Exit, say

COMMANDS: Final = {
    "serve": ("api.cli.serve", "Serve the HTTP API until interrupted."),
    "token": ("api.cli.token", "Print a token signed with the configured secret."),
    "projections": ("api.cli.projections.group", "The views made from the events."),
    "migrate": ("api.cli.migrate.group", "Take over the tickets of the old system."),
    "audit": ("api.cli.audit.group", "The audit log."),
    "catalogue": ("api.cli.catalogue", "The systems and their features."),
    "legacy": ("api.cli.legacy", "The old system's callers."),
}
"""By name: the module whose `app` has the command or group, and its line of help. `--help` prints
the lines without loading a module; a test holds that they are what the modules say."""


class Commands(TyperGroup):
    """Loads a command when it is used. Says of any command that it was interrupted, where the
    command does not say it better itself."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, line) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line))  # stands in for it in lists

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return _load(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        TyperGroup(commands=dict(self.commands)).format_commands(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # left to typer, the command would end without a word
            say("\nInterrupted.")
            raise typer.Exit(Exit.INTERRUPTED) from None


@cache
def _load(name: str) -> Any:
    parent = _settings()
    parent.add_typer(import_module(COMMANDS[name][0]).app)
    return get_group(parent).commands[name]


def _settings(cls: type[TyperGroup] = TyperGroup) -> typer.Typer:
    """The settings that hold for every command: plain text, and errors in our own words."""
    return typer.Typer(
        name="ticketbook",
        cls=cls,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


app = _settings(Commands)


@app.callback()
def ticketbook(
    debug: Annotated[
        bool, typer.Option(DEBUG, help="Show the traceback of an error that nobody foresaw.")
    ] = False,
) -> None:
    """An event-sourced ticket service."""


def main() -> None:
    """The entry point of the installed command."""
    sys.exit(run(get_command(app)))
