"""`ticketbook completion`: what a shell needs to complete commands and options."""

from enum import StrEnum
from typing import Annotated

import typer

from api.cli.output import example, print_line

PROGRAM = "ticketbook"

app = typer.Typer()


class Shell(StrEnum):
    """The shells that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command("completion", epilog=example('eval "$(ticketbook completion bash)"'))
def completion(shell: Annotated[Shell, typer.Argument(help="Your shell.")]) -> None:
    """Print the script that completes commands in a shell."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    from api.cli.main import VARIABLE  # which knows this module by name alone

    script = get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell.value)
    for line in script.splitlines():
        print_line(line)
