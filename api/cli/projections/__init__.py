"""`ticketbook projections`: how the views stand, and what to do about it."""

import typer

from api.cli.output import example
from api.cli.projections.parked import retry_parked
from api.cli.projections.rebuilding import drop_old_versions, rebuild_view, roll_back_view
from api.cli.projections.standing import show_status
from api.cli.projections.verifying import verify_view

app = typer.Typer(help="The views made from the events.", no_args_is_help=True)

for name, command, shown in (
    ("status", show_status, "status --json"),
    ("rebuild", rebuild_view, "rebuild tickets --dry-run"),
    ("rollback", roll_back_view, "rollback tickets"),
    ("drop-old", drop_old_versions, "drop-old tickets"),
    ("verify", verify_view, "verify audit --repair --json"),
    ("retry", retry_parked, "retry tickets 52f22665a60c12d289185d95"),
):
    app.command(name, epilog=example(f"ticketbook projections {shown}"))(command)
