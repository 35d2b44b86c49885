"""`ticketbook projections`: how the views stand, and what to do about it."""

import typer

from api.cli.output import example
from api.cli.projections.control import cancel_rebuild, pause, resume, throttle
from api.cli.projections.drop_old import drop_old_versions
from api.cli.projections.parked import list_parked, retry_parked, skip_parked
from api.cli.projections.rebuild import rebuild_view, roll_back_view
from api.cli.projections.status import show_status
from api.cli.projections.verify import verify_view

app = typer.Typer(name="projections", help="The views made from the events.", no_args_is_help=True)
parked = typer.Typer(help="Tickets that wait for an operator.", no_args_is_help=True)

for name, command, shown in (
    ("status", show_status, "status --json"),
    ("rebuild", rebuild_view, "rebuild tickets --dry-run"),
    ("pause", pause, "pause tickets"),
    ("resume", resume, "resume tickets"),
    ("throttle", throttle, "throttle tickets --rate 5000"),
    ("cancel", cancel_rebuild, "cancel tickets"),
    ("rollback", roll_back_view, "rollback tickets"),
    ("drop-old", drop_old_versions, "drop-old tickets"),
    ("verify", verify_view, "verify audit --repair --json"),
):
    app.command(name, epilog=example(f"ticketbook projections {shown}"))(command)

for name, doing, shown in (
    ("list", list_parked, "list tickets --json"),
    ("retry", retry_parked, "retry tickets 52f22665a60c12d289185d95"),
    ("skip", skip_parked, "skip tickets 52f22665a60c12d289185d95 --reason 'made by hand'"),
):
    parked.command(name, epilog=example(f"ticketbook projections parked {shown}"))(doing)

app.add_typer(parked, name="parked")
