"""Options of the commands of a migration, and how these are opened and stopped."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Final

import typer

from api.cli.journaling import os_user, record
from api.cli.opening import read_only_if_any
from api.cli.output import Exit, say
from api.use_cases.service import Service
from domain.errors import UnknownSystem
from infrastructure.migration.destination import Destination, DestinationView


def not_empty(address: str | None) -> str | None:
    """An empty address would be the folder where the command is run."""
    if address is not None and not address.strip():
        raise typer.BadParameter("it is empty. Name mongodb://HOST/DB, or a folder of dumps.")
    return address


SourceOption = Annotated[
    str,
    typer.Option(
        "--source",
        callback=not_empty,
        help="mongodb://HOST/DB of the old system, or a folder of dumps.",
    ),
]
SystemOption = Annotated[
    str, typer.Option("--system", help="The system that the records belong to.")
]
GoneOption = Annotated[
    bool,
    typer.Option(
        "--gone",
        help="All sources so far are the same old system: note the records gone from this one.",
    ),
]

SYSTEM: Final = "revolution_counter_1"
"""All records of `ticket_1` belong to it, unless another is named."""


def destination(service: Service) -> Destination:
    """The configured store, and the user of the operating system who runs the command."""
    return Destination(
        log=service.log,
        writer=service.writer,
        notes=service.notes,
        catalogue=service.catalogue.current(),
        clock=service.clock,
        actor=os_user(),
        record=partial(record, service),
    )


@contextmanager
def view_if_any() -> Iterator[DestinationView]:
    """The configured store, to read; there may be none yet, and none is made."""
    with read_only_if_any() as (history, catalogue):
        log, notes = (history.log, history.notes) if history else (None, None)
        yield DestinationView(log, notes, catalogue)


@contextmanager
def refusing_unknown_system() -> Iterator[None]:
    """A system that is not in the catalogue is a wrong --system."""
    try:
        yield
    except UnknownSystem as unknown:
        raise typer.BadParameter(unknown.detail, param_hint="--system") from None


@contextmanager
def interruptible(next_step: str) -> Iterator[None]:
    """After Ctrl-C, say how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        say(next_step)
        raise typer.Exit(Exit.INTERRUPTED) from None
