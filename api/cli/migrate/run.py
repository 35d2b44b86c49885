"""`ticketbook migrate run`."""

from typing import Annotated

import typer

from api.cli.migrate.options import (
    SYSTEM,
    GoneOption,
    SourceOption,
    SystemOption,
    destination,
    refusing_unknown_system,
    view_if_any,
)
from api.cli.migrate.printing import rows_of, say_doubt, say_notice
from api.cli.opening import open_for_command
from api.cli.options import DryRun, Json
from api.cli.output import Exit, counted, print_json, print_table, say
from api.cli.progress import Meter
from api.wire.fields import camel_case
from infrastructure.migration import run as use_case
from infrastructure.migration.counts import Counts
from infrastructure.migration.notices import Notice, Started
from infrastructure.migration.run import RunOptions
from infrastructure.migration.source import TICKETS, open_source
from projections.versions.status import lag

NoBackup = Annotated[bool, typer.Option("--no-backup", help="Go on without a backup.")]


def run(
    source: SourceOption,
    system: SystemOption = SYSTEM,
    no_backup: NoBackup = False,
    gone: GoneOption = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Take every record of ticket_1 over, each by one event: an import, or a quarantine.

    Records are never dropped and never stop the run. A record with one obvious meaning is repaired,
    and the event says so; any other goes to quarantine whole, with its reason. Safe to interrupt
    and to run again: records that were taken over already change nothing, and records that are gone
    from a database since are noted, unless some came from another source as well. Refuses without a
    backup of the same source.
    """
    options = RunOptions(system=system, no_backup=no_backup, gone=gone)
    if dry_run:
        with view_if_any() as view, open_source(source) as opened, refusing_unknown_system():
            total = use_case.preview_run(view, opened, options)
            say(
                f"Would take over {counted(total, 'record')}. "
                "What of each: ticketbook migrate plan."
            )
        return
    progress = _RunMeter()
    with (
        open_for_command(make=True) as service,
        open_source(source) as opened,
        refusing_unknown_system(),
    ):
        name = opened.name
        try:
            result = use_case.run(
                destination(service), opened, options, progress.notify, progress.tell
            )
        except KeyboardInterrupt:
            say(progress.how_to_go_on())
            raise typer.Exit(Exit.INTERRUPTED) from None
        progress.end()
        lags = {name: lag(projection) for name, projection in service.projections.items()}
    counts = result.counts
    say_doubt(counts)
    if json:
        print_json(camel_case(counts.as_json()) | {"position": result.position, "lagEvents": lags})
    else:
        print_table(["what", "records"], rows_of(counts))
    say(f"Took over {name}: {counted(counts.written, 'event')}, up to position {result.position}.")
    behind = "; ".join(
        f"{view}: {counted(events, 'event')} behind" for view, events in lags.items()
    )
    say(f"Views catch up while a service runs. {behind}.")


class _RunMeter:
    """A line on stderr that says how far a run is."""

    def __init__(self) -> None:
        self._meter = Meter()
        self._done, self._total = 0, 0

    def notify(self, notice: Notice) -> None:
        if isinstance(notice, Started):
            self._total = notice.total
        say_notice(notice)

    def tell(self, number: int, counts: Counts) -> None:
        self._done = number
        also = f"{counts.written:,} written, {counts.quarantined.total():,} in quarantine"
        self._meter.tell(TICKETS, number, max(self._total, number), also)

    def how_to_go_on(self) -> str:
        return (
            f"\nInterrupted after {self._done:,} of about {counted(self._total, 'record')}. "
            "Nothing is lost: run the same command again to go on; what is there already is "
            "skipped."
        )

    def end(self) -> None:
        self._meter.end()
