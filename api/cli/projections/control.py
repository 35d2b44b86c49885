"""`ticketbook projections pause | resume | throttle | cancel`: a rebuild in another process."""

from typing import Annotated, Any

import typer

from api.cli.journaling import record
from api.cli.opening import open_for_command
from api.cli.options import DryRun
from api.cli.output import counted, say
from api.cli.projections.arguments import Name, named
from api.cli.projections.monitor import CommandMonitor
from api.use_cases.projections import prepare_cancel
from api.wire.jobs import FASTEST
from projections.versions.control import control
from projections.versions.status import status

_LIMIT = typer.Option("--rate", min=0, max=FASTEST, help="Most events a second; 0: no limit.")
Rate = Annotated[int, _LIMIT]
RateIfAny = Annotated[int | None, _LIMIT]


def pause(name: Name, dry_run: DryRun = False) -> None:
    """Have a running rebuild wait. It keeps what it has built."""
    _change(name, "projection.rebuild_paused", dry_run, paused=True)


def resume(name: Name, dry_run: DryRun = False) -> None:
    """Have a paused rebuild go on."""
    _change(name, "projection.rebuild_resumed", dry_run, paused=False)


def throttle(name: Name, rate: Rate, dry_run: DryRun = False) -> None:
    """Limit how fast a rebuild goes."""
    _change(name, "projection.rebuild_throttled", dry_run, rate=rate)


def cancel_rebuild(name: Name, dry_run: DryRun = False) -> None:
    """Give up the version that is being built, and delete it. The live one stays."""
    with open_for_command() as service:
        task = prepare_cancel(named(service, name), dry_run=dry_run)
        if not dry_run:
            record(service, task.action, {"projection": name})
        version = task.run(CommandMonitor(name))
    outcome = "would be" if dry_run else "is"
    say(f"{name}: version {version} {outcome} cancelled.")


def _change(name: str, action: str, dry_run: bool, **changes: Any) -> None:
    with open_for_command() as service:
        projection = named(service, name)
        building = control(projection)
        if not dry_run:
            record(service, action, {"projection": name, **changes})
            building = control(projection, **changes)
        stopped = any(version.state == "stopped" for version in status(projection).versions)
    limit = f"at most {building.rate} events/s" if building.rate else "no limit"
    state = "paused" if building.paused else "running"
    say(
        f"{name}: version {building.version} of {counted(building.target, 'event')}: "
        f"{state}, {limit}."
    )
    if stopped:
        say(f"Nobody is building it: ticketbook projections rebuild {name} goes on with it.")
