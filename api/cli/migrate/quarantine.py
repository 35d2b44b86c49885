"""`ticketbook migrate quarantine`: records that could not become tickets."""

import json as jsonlib
from typing import Annotated, Any

import typer

from api.cli.migrate.options import (
    SYSTEM,
    SystemOption,
    destination,
    not_empty,
    refusing_unknown_system,
)
from api.cli.opening import open_for_command, read_only
from api.cli.options import DryRun, Json
from api.cli.output import Exit, example, print_json, print_table, say
from domain.origin import iso
from infrastructure.migration import quarantine as use_case
from infrastructure.migration.quarantine import (
    QuarantinedRecord,
    RetryOptions,
    Verdict,
    find_records,
)

app = typer.Typer(help="Records that could not become tickets, kept whole.", no_args_is_help=True)

RetrySource = Annotated[
    str | None,
    typer.Option(
        "--source",
        callback=not_empty,
        help="Read the records there again. Default: as they were kept.",
    ),
]
Ids = Annotated[list[str] | None, typer.Argument(help="Default: all.")]


@app.callback()
def group() -> None:
    """Records that could not become tickets, kept whole."""


@app.command("list", epilog=example("ticketbook migrate quarantine list --json"))
def list_records(json: Json = False) -> None:
    """Print every record in quarantine, with its reason."""
    with read_only() as history:
        records = find_records(history.log, ())
    if json:
        print_json([_row(record) for record in records])
    else:
        rows = [tuple(_row(record).values()) for record in records]
        print_table(["id", "collection", "since", "reason"], rows)


@app.command("show", epilog=example("ticketbook migrate quarantine show 6480f1afd7db31e6c1a4a5bb"))
def show(record_id: Annotated[str, typer.Argument(metavar="ID", help="As listed.")]) -> None:
    """Print one record in quarantine, all of it, as JSON."""
    with read_only() as history:
        (record,) = find_records(history.log, [record_id])
    print_json(_row(record) | {"digest": record.digest, "record": jsonlib.loads(record.record)})


@app.command(
    "retry", epilog=example("ticketbook migrate quarantine retry --source mongodb://127.0.0.1/old")
)
def retry(
    ids: Ids = None,
    source: RetrySource = None,
    system: SystemOption = SYSTEM,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Try to make tickets of records in quarantine, after a correction.

    With --source, as they stand there now; without, as they were kept, which helps once the
    catalogue was corrected. Exits with 1 when some of them can still be no tickets.
    """
    options = RetryOptions(ids=ids or (), source=source, system=system)
    with open_for_command() as service, refusing_unknown_system():
        if dry_run:
            result = use_case.preview_retry(destination(service), options, _say_verdict)
        else:
            result = use_case.retry(destination(service), options)
    tickets, quarantined = result.tickets, result.quarantined
    if json:
        print_json({"tickets": tickets, "quarantined": quarantined})
    say(f"{len(tickets):,} became tickets, {len(quarantined):,} are still in quarantine.")
    if quarantined and not dry_run:
        raise typer.Exit(Exit.DIFFERENT)


def _say_verdict(verdict: Verdict) -> None:
    if verdict.reason is None:
        say(f"{verdict.id}: would become a ticket.")
    else:
        say(f"{verdict.id}: {verdict.reason}.")


def _row(record: QuarantinedRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "collection": record.collection,
        "since": iso(record.since),
        "reason": record.reason,
    }
