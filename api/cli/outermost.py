"""The outermost place of the command line: every error of a command ends here, as a sentence on
stderr and an exit code. `Exit.DIFFERENT` never stands for something unforeseen."""

import sys
import traceback
from io import StringIO
from itertools import takewhile
from typing import Any, Final

import typer
from typer.exceptions import TyperException

from api.cli.output import LINE, Exit, reporting, say
from api.cli.streams import OutputUnwritable, ReaderGone, prepare_streams

DEBUG: Final = "--debug"

_LONGEST: Final = 500
"""Most characters of an unforeseen error that are shown without a traceback."""


class ArgumentUnreadable(TyperException):
    """An argument of the command line is not text."""


def run(command: Any) -> int:
    """Run the command of this process's arguments; its exit code."""
    prepare_streams()
    try:
        return _exit_code(command)
    except ReaderGone:
        return Exit.INTERRUPTED
    except OutputUnwritable as error:
        say(f"ticketbook: The output cannot be written: {error}.")
        return Exit.STORE
    except KeyboardInterrupt:
        say("\nInterrupted.")
        return Exit.INTERRUPTED
    except Exception as error:
        _tell_unforeseen(error)
        return Exit.UNFORESEEN


def _exit_code(command: Any) -> int:
    try:
        _refuse_bytes()
        with reporting():
            return command.main(standalone_mode=False) or Exit.OK
    except typer.Exit as ended:
        return ended.exit_code
    except TyperException as error:
        _tell_usage(error)
        return Exit.USAGE
    except typer.Abort:
        return Exit.INTERRUPTED
    finally:
        LINE.end()
        sys.stdout.flush()  # else it fails when nobody is left to say so


def _refuse_bytes() -> None:
    """An argument that is not UTF-8 can be neither stored nor compared."""
    for number, argument in enumerate(sys.argv[1:], 1):
        if not argument.isascii() and argument.encode(errors="ignore").decode() != argument:
            raise ArgumentUnreadable(f"Argument {number} is not UTF-8 text. Write it as UTF-8.")


def _tell_usage(error: TyperException) -> None:
    text = StringIO()
    show = getattr(error, "show", None)  # with the usage of the command
    show(text) if show else text.write(error.format_message())
    say(text.getvalue().rstrip("\n") or error.format_message())


def _tell_unforeseen(error: Exception) -> None:
    if _debugging():
        say("".join(traceback.format_exception(error)).rstrip("\n"))
    cause = f"{type(error).__name__}: {error}"[:_LONGEST].rstrip(": ")
    say(f"ticketbook: Something unforeseen ended the command: {cause}")
    if not _debugging():
        say(f"Please report it, with the output of the same command as ticketbook {DEBUG} ...")


def _debugging() -> bool:
    """Whether the option stands before the command, where options for all commands stand."""
    return DEBUG in takewhile(lambda argument: argument.startswith("-"), sys.argv[1:])
