"""`ticketbook migrate backup`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from api.cli.migrate.migrating import DryRun, SourceOption
from api.cli.opening import open_for_command, read_only_if_any
from api.cli.output import Exit, Json, print_json, print_table, say
from api.cli.progress import Meter
from api.wire.fields import iso
from domain.origin import milliseconds
from infrastructure.migration.backup import make_backup
from infrastructure.migration.proofs import Proofs
from infrastructure.migration.source import TICKETS, USERS, open_source


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
        with read_only_if_any(), open_source(source) as opened_source:
            for collection in (TICKETS, USERS):
                if collection == TICKETS or opened_source.has(collection):
                    say(f"Would dump {opened_source.count(collection):,} of {collection} to {to}.")
        return
    with open_for_command(make=True) as service, open_source(source) as opened_source:
        meter = Meter()
        try:
            made = make_backup(opened_source, to, iso(milliseconds(service.clock())), meter.tell)
        except KeyboardInterrupt:
            say("\nInterrupted. Nothing is lost: run the same command again to start it over.")
            raise typer.Exit(Exit.INTERRUPTED) from None
        for name in made.dumps:
            evidence = Proofs(service.notes, opened_source.name, name)
            evidence.backed_up(made.evidence(to, name))
    meter.end()
    if json:
        print_json(asdict(made))
    else:
        rows = [(name, dump.records, dump.sha256) for name, dump in made.dumps.items()]
        print_table(["collection", "records", "sha256"], rows)
    say(f"Backed up to {to}, read again and compared: equal.")
