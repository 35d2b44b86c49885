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
from api.cli.options import DryRun, Json, Reason
from api.cli.output import Exit, example, print_json, print_table, say
from domain.errors import Refusal
from domain.origin import iso
from infrastructure.migration import quarantine as use_case
from infrastructure.migration.dismissals import Dismissal
from infrastructure.migration.quarantine import (
    QuarantinedRecord,
    RetryOptions,
    Verdict,
    dismissal_of,
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
Name = Annotated[
    str | None, typer.Option("--name", help="The name for a record that has no usable one.")
]
Ids = Annotated[list[str] | None, typer.Argument(help="Default: all.")]


@app.callback()
def group() -> None:
    """Records that could not become tickets, kept whole."""


@app.command("list", epilog=example("ticketbook migrate quarantine list --json"))
def list_records(
    dismissed: Annotated[
        bool, typer.Option("--dismissed", help="Those that somebody dismissed, and why.")
    ] = False,
    json: Json = False,
) -> None:
    """Print every record in quarantine that nobody dismissed, with its reason."""
    with read_only() as history:
        records = find_records(history.log, ())
        dismissals = [(record, dismissal_of(history.notes, record)) for record in records]
    rows = [
        _row(record) | (_dismissal(dismissal) if dismissal else {})
        for record, dismissal in dismissals
        if (dismissal is not None) is dismissed
    ]
    if json:
        print_json(rows)
    else:
        columns = ["id", "collection", "since", "reason"]
        columns += ["dismissed by", "at", "why"] if dismissed else []
        print_table(columns, [tuple(row.values()) for row in rows])


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
    name: Name = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Try to make tickets of records in quarantine, after a correction.

    With --source, as they stand there now; without, as they were kept, which helps once the
    catalogue was corrected. With --name, one record that lacks nothing but a usable name becomes a
    ticket of that name: a change made here, which migrating again does not undo. Exits with 1 when
    some of them can still be no tickets.
    """
    if name is not None:
        _complete(ids or [], source, system, name, dry_run, json)
        return
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


@app.command(
    "dismiss",
    epilog=example("ticketbook migrate quarantine dismiss 6480f1afd7db31e6c1a4a5bb --reason test"),
)
def dismiss(
    record_id: Annotated[str, typer.Argument(metavar="ID", help="As listed.")],
    reason: Reason,
    dry_run: DryRun = False,
) -> None:
    """Leave a record in quarantine for good, with a reason. It stays whole; retry passes over it
    unless it is named. A record that changes in its source needs another dismissal."""
    with open_for_command() as service:
        if dry_run:
            find_records(service.log, [record_id])
            say(f"Would dismiss {record_id}.")
            return
        use_case.dismiss(destination(service), record_id, reason)
    say(f"{record_id} is dismissed. It stays in quarantine, whole.")


def _complete(
    ids: list[str], source: str | None, system: str, name: str, dry_run: bool, json: bool
) -> None:
    """Make a ticket of one record, with this name."""
    if len(ids) != 1 or source is not None:
        raise typer.BadParameter("--name goes with one ID, and not with --source.")
    (record_id,) = ids
    with open_for_command() as service, refusing_unknown_system():
        complete = use_case.preview_completion if dry_run else use_case.complete
        try:
            reason = complete(destination(service), record_id, name, system)
        except Refusal as refusal:
            raise typer.BadParameter(refusal.detail, param_hint="--name") from None
    if dry_run or reason:
        _say_verdict(Verdict(record_id, reason))
    if dry_run:
        return
    if json:
        done, left = ([record_id], []) if reason is None else ([], [record_id])
        print_json({"tickets": done, "quarantined": left})
    if reason is not None:
        raise typer.Exit(Exit.DIFFERENT)
    say(f"{record_id} became a ticket with the name {name!r}.")


def _dismissal(dismissal: Dismissal) -> dict[str, Any]:
    return {
        "dismissedBy": dismissal.actor,
        "dismissedAt": dismissal.at,
        "dismissedBecause": dismissal.reason,
    }


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
