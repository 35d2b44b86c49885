"""`ticketbook projections drop-old`."""

from api.cli.journaling import record
from api.cli.opening import open_for_command
from api.cli.options import DryRun
from api.cli.output import say
from api.cli.projections.arguments import Names, chosen
from api.cli.projections.monitor import CommandMonitor
from api.use_cases.projections import prepare_drop_old
from projections.versions.control import droppable


def drop_old_versions(name: Names = None, dry_run: DryRun = False) -> None:
    """Delete the versions that are kept beside the live one, and what is left of cancelled ones.

    Without NAME, of every projection that has any.
    """
    with open_for_command() as service:
        old = {each: droppable(view) for each, view in chosen(service, name).items()}
        for each, versions in old.items():
            if not versions and name is None:
                continue
            task = prepare_drop_old(service.projections[each], dry_run=dry_run)
            if not dry_run:
                record(service, task.action, {"projection": each, "versions": versions})
            dropped = task.run(CommandMonitor(each))
            listed = ", ".join(map(str, dropped)) or "none"
            say(f"{each}: {'would drop' if dry_run else 'dropped'} versions: {listed}.")
    if name is None and not any(old.values()):
        say("No projection has a version to drop: one is kept after each rebuild.")
