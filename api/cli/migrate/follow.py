"""`ticketbook migrate follow`: keep up with the old system until the moment of the cutover."""

from dataclasses import asdict
from typing import Annotated

import typer

from api.cli.migrate.migrating import (
    SYSTEM,
    DryRun,
    GoneOption,
    Place,
    SourceOption,
    SystemOption,
    counts,
    database_of,
    intake,
    say_of_others,
    translation,
    translation_of,
)
from api.cli.opening import open_for_command, read_only_if_any
from api.cli.output import LINE, Exit, Json, print_json, say
from infrastructure.migration.follow import Follower, FollowProgress
from infrastructure.migration.provenance import Provenance
from infrastructure.migration.source import TICKETS, open_source
from infrastructure.terminal import printable

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
    """Take over what the old system still writes to ticket_1, and say how far behind that is.

    The first time, and whenever the old system no longer remembers all that changed, every record
    is compared first: nothing between a run and following is missed. A record that is deleted
    there retires its ticket here; one that is missing when all are compared does too, unless
    records came from another source as well. Safe to interrupt and to run again: it goes on where
    it was.
    """
    if dry_run:
        with read_only_if_any() as (history, catalogue), open_source(source) as opened_source:
            database = database_of(opened_source, "followed")
            translation_of(catalogue, system)
            there = history and Place(history.notes, database, TICKETS).find()
            say("Would go on." if there else "Would compare every record first.")
        return
    with open_for_command(make=True) as service, open_source(source) as opened_source:
        database = database_of(opened_source, "followed")
        place = Place(service.notes, database, TICKETS)
        meaning = translation(service, system)
        provenance = Provenance(service.notes, database.name, meaning, gone)
        say_of_others(provenance)
        taking = intake(service, database.collection(TICKETS), meaning)
        follower = Follower(database, TICKETS, taking, service.log, place, provenance)
        try:
            taken = follower.follow(until_idle, _Line().tell)
        except KeyboardInterrupt:
            say("\nInterrupted. Nothing is lost: run the same command again to go on from here.")
            raise typer.Exit(Exit.INTERRUPTED) from None
    say(f"\nCaught up with {database.name}. {counts(taken)}.")
    if json:
        print_json(asdict(taken))


class _Line:
    """One line on stderr, written over whenever it says something else."""

    def __init__(self) -> None:
        self._shown = ""

    def tell(self, standing: FollowProgress) -> None:
        if standing.trouble:
            self._show(standing.trouble)
            LINE.end()
        elif standing.comparing is not None:
            self._show(f"comparing: {standing.comparing:,} records; {counts(standing.taken)}")
        else:
            self._show(f"lag {standing.lag:.1f} s; {counts(standing.taken)}")

    def _show(self, line: str) -> None:
        if line != self._shown:
            LINE.show(printable(line))
            self._shown = line
