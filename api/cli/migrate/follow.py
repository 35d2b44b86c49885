"""`ticketbook migrate follow`: keep up with the old system until the moment of the cutover."""

from typing import Annotated

import typer

from api.cli.migrate.options import (
    SYSTEM,
    GoneOption,
    SourceOption,
    SystemOption,
    destination,
    interruptible,
    refusing_unknown_system,
    view_if_any,
)
from api.cli.migrate.printing import line_of, say_notice
from api.cli.opening import open_for_command
from api.cli.options import DryRun, Json
from api.cli.output import LINE, counted, print_json, say
from api.wire.fields import camel_case
from infrastructure.migration import follow as use_case
from infrastructure.migration.follow import FollowOptions, FollowProgress
from infrastructure.migration.source import database_of, open_source

UntilIdle = Annotated[
    bool, typer.Option("--until-idle", help="End when nothing is left to take over.")
]


def follow(
    source: SourceOption,
    system: SystemOption = SYSTEM,
    until_idle: UntilIdle = False,
    gone: GoneOption = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Take over later changes of ticket_1 in the old system, and say how far behind that is.

    The first time, and whenever the old system no longer remembers all that changed, every record
    is compared first: nothing between a run and following is missed. A record that is deleted
    there retires its ticket here; one that is missing when all are compared does too, unless
    records came from another source as well. Safe to interrupt and to run again: it goes on where
    it was.
    """
    if dry_run:
        with view_if_any() as view, open_source(source) as opened, refusing_unknown_system():
            database = database_of(opened, "followed")
            goes_on = use_case.preview_follow(view, database, system)
            say("Would go on." if goes_on else "Would compare every record first.")
        return
    with (
        open_for_command(make=True) as service,
        open_source(source) as opened,
        refusing_unknown_system(),
        interruptible(
            "\nInterrupted. Nothing is lost: run the same command again to go on from here."
        ),
    ):
        database = database_of(opened, "followed")
        options = FollowOptions(system=system, gone=gone, until_idle=until_idle)
        counts = use_case.follow(destination(service), database, options, say_notice, _Line().tell)
    say(f"\nCaught up with {database.name}. {line_of(counts)}.")
    if json:
        print_json(camel_case(counts.as_changes_json()))


class _Line:
    """One line on stderr, written over whenever it says something else."""

    def __init__(self) -> None:
        self._shown = ""

    def tell(self, progress: FollowProgress) -> None:
        if progress.trouble:
            self._show(progress.trouble)
            LINE.end()
        elif progress.comparing is not None:
            self._show(
                f"comparing: {counted(progress.comparing, 'record')}; {line_of(progress.counts)}"
            )
        else:
            self._show(f"lag {progress.lag:.1f} s; {line_of(progress.counts)}")

    def _show(self, line: str) -> None:
        if line != self._shown:
            LINE.show(line)
            self._shown = line
