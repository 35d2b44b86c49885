"""`ticketbook projections drop-old`, and the wait before anything is deleted."""

from collections.abc import Callable
from time import sleep

import typer

from api.cli.journaling import record
from api.cli.opening import open_for_command
from api.cli.output import Exit, say
from api.cli.projections.arguments import DryRun, Names, chosen
from projections.versions.control import drop_old, droppable


def drop_old_versions(name: Names = None, dry_run: DryRun = False) -> None:
    """Delete the versions that are kept beside the live one, and what is left of cancelled ones.

    Without NAME, of every projection that has any.
    """
    with open_for_command() as service:
        found = {one: droppable(projection) for one, projection in chosen(service, name).items()}
        for one, versions in found.items():
            if not versions and name is None:
                continue
            if not dry_run:
                record(service, "projection.old_dropped", {"projection": one, "versions": versions})
                versions = drop_old(service.projections[one], until_unread(one))
            listed = ", ".join(map(str, versions)) or "none"
            say(f"{one}: {'would drop' if dry_run else 'dropped'} versions: {listed}.")
    if name is None and not any(found.values()):
        say("No projection has a version to drop: one is kept after each rebuild.")


def until_unread(name: str) -> Callable[[float], None]:
    """Waits, and says what for, and what to do when it is interrupted."""

    def wait(seconds: float) -> None:
        try:
            say(f"{name}: waiting {seconds:.0f} s until nobody reads it.")
            sleep(seconds)
        except KeyboardInterrupt:
            say(f"Interrupted. ticketbook projections drop-old {name} deletes what is left.")
            raise typer.Exit(Exit.INTERRUPTED) from None

    return wait
