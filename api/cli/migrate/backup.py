"""`ticketbook migrate backup`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from api.cli.migrate.options import SourceOption, destination, interruptible
from api.cli.opening import open_for_command, read_only_if_any
from api.cli.options import DryRun, Json
from api.cli.output import print_json, print_table, say
from api.cli.progress import Meter
from infrastructure.migration import backup as use_case
from infrastructure.migration.source import open_source


def backup(
    source: SourceOption,
    to: Annotated[Path, typer.Option("--to", help="A new folder for the dumps.")],
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Dump ticket_1 and users, read the dumps again, and compare.

    The folder gets what mongodump would write, and a manifest with counts and SHA-256. It holds
    password hashes: it is made for its owner alone.
    """
    if dry_run:
        with read_only_if_any(), open_source(source) as opened:
            for collection, records in use_case.preview_backup(opened).items():
                say(f"Would dump {records:,} of {collection} to {to}.")
        return
    meter = Meter()
    with (
        open_for_command(make=True) as service,
        open_source(source) as opened,
        interruptible(
            "\nInterrupted. Nothing is lost: run the same command again to start it over."
        ),
    ):
        manifest = use_case.backup(destination(service), opened, to, meter.tell)
    meter.end()
    if json:
        print_json(asdict(manifest))
    else:
        rows = [(name, dump.records, dump.sha256) for name, dump in manifest.dumps.items()]
        print_table(["collection", "records", "sha256"], rows)
    say(f"Backed up to {to}, read again and compared: equal.")
