"""`ticketbook`: one command, a group per noun, each loaded when it is used."""

import sys
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.completion import get_completion_inspect_parameters
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from api.cli.outermost import DEBUG, run
from api.cli.output import Exit, print_line, say

COMMANDS: Final = {
    "serve": ("api.cli.serve", "Serve the HTTP API until interrupted."),
    "token": ("api.cli.token", "Print a token signed with the configured secret."),
    "tickets": ("api.cli.tickets.group", "Create, find and change tickets."),
    "projections": ("api.cli.projections.group", "The views made from the events."),
    "migrate": ("api.cli.migrate.group", "Take over the tickets of the old system."),
    "audit": ("api.cli.audit.group", "The audit log."),
    "catalogue": ("api.cli.catalogue", "The systems and their features."),
    "completion": (
        "api.cli.completion",
        "Print the script that completes commands in a shell.",
    ),
    "legacy": ("api.cli.legacy", "The old system's callers."),
}
"""By name: the module whose `app` has the command or group, and its line of help. `--help` prints
the lines without loading a module; a test holds that they are what the modules say."""


_EXIT_CODES: Final = "\b\nExit codes:\n" + "\n".join(
    f"{code.value:>3}  {code.meaning}" for code in Exit
)


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
        context_settings={"help_option_names": ["-h", "--help"]},
    )


app = _settings(Commands)

VARIABLE: Final = "_TICKETBOOK_COMPLETE"
"""Set by a shell that asks for completions instead of running a command."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print_line(f"ticketbook {version('ticketbook')}")
        raise typer.Exit


@app.callback(epilog=_EXIT_CODES)
def ticketbook(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version, and exit."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option(DEBUG, help="Show the traceback of an error that nobody foresaw.")
    ] = False,
) -> None:
    """An event-sourced ticket service."""


def main() -> None:
    """The entry point of the installed command."""
    get_completion_inspect_parameters()  # has typer answer shells as its scripts expect it
    sys.exit(run(get_command(app)))
