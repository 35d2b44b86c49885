"""`ticketbook migrate`: taking over the old system's tickets, while it runs."""

import typer

from api.cli.migrate import adopt, quarantine
from api.cli.migrate.backup import backup
from api.cli.migrate.cutover import retire, rollback
from api.cli.migrate.follow import follow
from api.cli.migrate.plan import plan
from api.cli.migrate.report import report, status
from api.cli.migrate.run import run
from api.cli.migrate.verify import verify
from api.cli.output import example

app = typer.Typer(
    name="migrate", help="Take over the tickets of the old system.", no_args_is_help=True
)


@app.callback()
def group() -> None:
    """Take over the tickets of the old system."""


app.add_typer(adopt.app, name="adopt")
app.add_typer(quarantine.app, name="quarantine")
app.command(epilog=example("ticketbook migrate plan --source mongodb://127.0.0.1/old"))(plan)
app.command(
    epilog=example("ticketbook migrate backup --source mongodb://127.0.0.1/old --to backup-1")
)(backup)
app.command(epilog=example("ticketbook migrate run --source mongodb://127.0.0.1/old"))(run)
app.command(epilog=example("ticketbook migrate report --json"))(report)
app.command(epilog=example("ticketbook migrate status --source mongodb://127.0.0.1/old"))(status)
app.command(epilog=example("ticketbook migrate verify --source mongodb://127.0.0.1/old"))(verify)
app.command(
    epilog=example("ticketbook migrate follow --source mongodb://127.0.0.1/old --until-idle")
)(follow)
app.command(epilog=example("ticketbook migrate rollback --source mongodb://127.0.0.1/old"))(
    rollback
)
app.command(
    epilog=example(
        "ticketbook migrate retire --source mongodb://127.0.0.1/old --yes-remove ticket_1"
    )
)(retire)
