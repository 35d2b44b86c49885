"""`ticketbook migrate quarantine`: records that could not become tickets."""

import json as jsonlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Final

import typer

from api.cli.migrate.migrating import (
    SYSTEM,
    DryRun,
    SystemOption,
    migration_origin,
    named,
    translation,
)
from api.cli.opening import open_for_command, read_only
from api.cli.output import Exit, Json, example, print_json, print_table, say
from api.use_cases.service import Service
from api.wire.fields import iso
from domain.origin import Origin
from domain.ticket.commands import ImportTicket
from infrastructure.log.ticket_log import TicketLog
from infrastructure.migration.bson import id_of
from infrastructure.migration.changes import SourceChange, read
from infrastructure.migration.chunks import chunks
from infrastructure.migration.intake import Intake
from infrastructure.migration.quarantine import QuarantinedRecord, in_quarantine
from infrastructure.migration.records import Translation
from infrastructure.migration.source import TICKETS, DatabaseSource, open_source

app = typer.Typer(help="Records that could not become tickets, kept whole.", no_args_is_help=True)

RetrySource = Annotated[
    str | None,
    typer.Option(
        "--source",
        callback=named,
        help="Read the records there again. Default: as they were kept.",
    ),
]
Ids = Annotated[list[str] | None, typer.Argument(help="Default: all.")]

Again = Callable[[Sequence[Any]], Sequence[SourceChange]]

_SOME: Final = 1_000


@app.callback()
def group() -> None:
    """Records that could not become tickets, kept whole."""


@app.command("list", epilog=example("ticketbook migrate quarantine list --json"))
def list_records(json: Json = False) -> None:
    """Print every record in quarantine, with its reason."""
    with read_only() as history:
        kept = list(in_quarantine(history.log))
    if json:
        print_json([_row(one) for one in kept])
    else:
        rows = [(one.id, one.collection, iso(one.since), one.reason) for one in kept]
        print_table(["id", "collection", "since", "reason"], rows)


@app.command("show", epilog=example("ticketbook migrate quarantine show 6480f1afd7db31e6c1a4a5bb"))
def show(record_id: Annotated[str, typer.Argument(metavar="ID", help="As listed.")]) -> None:
    """Print one record in quarantine, all of it, as JSON."""
    with read_only() as history:
        (kept,) = _wanted(history.log, [record_id])
    print_json(_row(kept) | {"digest": kept.digest, "record": jsonlib.loads(kept.record)})


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
    with open_for_command() as service:
        read_at = service.log.head()
        kept = _wanted(service.log, ids)
        for collection in sorted({one.collection for one in kept}):
            meaning = translation(service, system if collection == TICKETS else None, collection)
            some = [one for one in kept if one.collection == collection]
            with _to_try(some, source, meaning, migration_origin(service)()) as (records, again):
                if dry_run:
                    _say_what(records, meaning, migration_origin(service)())
                else:
                    _take(service, records, meaning, again, read_at)
        still = {one.id for one in in_quarantine(service.log)} & {one.id for one in kept}
    done = [one.id for one in kept if one.id not in still]
    if json:
        print_json({"tickets": done, "quarantined": sorted(still)})
    say(f"{len(done):,} became tickets, {len(still):,} are still in quarantine.")
    if still and not dry_run:
        raise typer.Exit(Exit.DIFFERENT)


def _wanted(log: TicketLog, ids: Sequence[str] | None) -> list[QuarantinedRecord]:
    kept = {one.id: one for one in in_quarantine(log)}
    if not ids:
        return list(kept.values())
    for one in ids:
        if one not in kept:
            raise typer.BadParameter(f"{one!r} is not in quarantine. See migrate quarantine list.")
    return [kept[one] for one in ids]


@contextmanager
def _to_try(
    kept: Sequence[QuarantinedRecord], source: str | None, meaning: Translation, origin: Origin
) -> Iterator[tuple[Iterator[bytes], Again]]:
    """The records to try, as they were kept or as they stand in the source; and what reads some of
    them again that somebody else, who follows the source, takes over meanwhile."""
    if source is None or meaning.collection != TICKETS:
        yield (one.bytes for one in kept), _nothing
        return
    wanted = {one.id for one in kept}
    with open_source(source) as opened_source:
        every = opened_source.records(TICKETS)
        found = (one for one in every if meaning.command(one, origin).ticket_id in wanted)
        if isinstance(opened_source, DatabaseSource):
            yield found, partial(read, opened_source.collection(TICKETS))
        else:
            yield found, _nothing


def _nothing(_: Sequence[Any]) -> Sequence[SourceChange]:
    """There is nothing newer than what somebody else took over."""
    return ()


def _take(
    service: Service, records: Iterator[bytes], meaning: Translation, again: Again, read_at: int
) -> None:
    """Take over records that were read when the log had reached `read_at`."""
    taking = Intake(service.writer, service.log, meaning, again, migration_origin(service))
    for some in chunks(records, _SOME):
        taking.take([SourceChange(id_of(record), record) for record in some], read_at)


def _say_what(records: Iterator[bytes], meaning: Translation, origin: Origin) -> None:
    for record in records:
        command = meaning.command(record, origin)
        if isinstance(command, ImportTicket):
            say(f"{command.ticket_id}: would become a ticket.")
        else:
            say(f"{command.ticket_id}: {command.quarantined.reason}.")


def _row(kept: QuarantinedRecord) -> dict[str, Any]:
    return {
        "id": kept.id,
        "collection": kept.collection,
        "since": iso(kept.since),
        "reason": kept.reason,
    }
