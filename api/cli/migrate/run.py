"""`ticketbook migrate run`."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any, Final

import typer

from api.cli.migrate.migrating import (
    SYSTEM,
    DryRun,
    GoneOption,
    Place,
    SourceOption,
    SystemOption,
    intake,
    migration_origin,
    say_of_doubt,
    say_of_others,
    tally_rows,
    translation,
    translation_of,
)
from api.cli.opening import open_for_command, read_only_if_any
from api.cli.output import Exit, Json, print_json, print_table, say
from api.cli.progress import Meter
from api.use_cases.service import Service
from domain.errors import NotProven, SourceUnusable
from infrastructure.migration.changes import listening, read
from infrastructure.migration.comparison import remove_gone
from infrastructure.migration.counts import Tally
from infrastructure.migration.proofs import Proofs
from infrastructure.migration.provenance import Provenance
from infrastructure.migration.records import Translation
from infrastructure.migration.sniff import tickets
from infrastructure.migration.source import TICKETS, DatabaseSource, FolderSource, open_source
from infrastructure.migration.transfer import Transfer
from infrastructure.migration.translators import Translate, translating
from infrastructure.stores import Notes

_PILE: Final = 200_000
"""Objects; what is being translated and committed at a time are fewer."""

NoBackup = Annotated[bool, typer.Option("--no-backup", help="Go on without a backup.")]


def run(
    source: SourceOption,
    system: SystemOption = SYSTEM,
    no_backup: NoBackup = False,
    gone: GoneOption = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Take every record of ticket_1 over: one import event each, or one that keeps it aside.

    Records are never dropped and never stop the run. What has one obvious meaning is repaired, and
    the event says so; what has none goes to quarantine whole, with its reason. Safe to interrupt
    and to run again: what was taken over already changes nothing, and what is gone from a database
    since is noted, unless records came from another source as well. Refuses without a backup of
    the same source.
    """
    if dry_run:
        with read_only_if_any() as (history, catalogue), open_source(source) as opened_source:
            _check_backup(history.notes if history else None, opened_source.name, no_backup)
            translation_of(catalogue, system)
            total = opened_source.count(TICKETS)
            say(f"Would take over {total:,} records. What of each: ticketbook migrate plan.")
        return
    with (
        open_for_command(make=True) as service,
        open_source(source) as opened_source,
        _rarely_collecting(),
    ):
        _check_backup(service.notes, opened_source.name, no_backup)
        meaning, total = translation(service, system), opened_source.count(TICKETS)
        meter, done = Meter(), 0

        def tell(tally: Tally) -> None:
            nonlocal done
            done = tally.records
            also = f"{tally.written:,} written, {tally.quarantined.total():,} in quarantine"
            meter.tell(TICKETS, done, max(total, done), also)

        try:
            provenance = Provenance(service.notes, opened_source.name, meaning, gone)
            with translating(meaning, total) as translate:
                tally = _take(service, opened_source, meaning, translate, provenance, tell)
        except KeyboardInterrupt:
            say(
                f"\nInterrupted after {done:,} of about {total:,} records. Nothing is lost: run "
                "the same command again to go on; what is there already is skipped."
            )
            raise typer.Exit(Exit.INTERRUPTED) from None
        meter.end()
        say_of_doubt(tally)
        reached = service.log.head()
    if json:
        print_json(tally.as_json() | {"position": reached})
    else:
        print_table(["what", "records"], tally_rows(tally))
    say(f"Took over {opened_source.name}: {tally.written:,} events, up to position {reached}.")


@contextmanager
def _rarely_collecting() -> Iterator[None]:
    """Millions of objects come and go, almost none in a cycle: looking for some as often as usual
    would take a sixth of the time. Still done where objects pile up."""
    usual = gc.get_threshold()
    gc.set_threshold(_PILE)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _check_backup(notes: Notes | None, source: str, no_backup: bool) -> None:
    if no_backup or (notes and Proofs(notes, source, TICKETS).backup()):
        return
    raise NotProven(
        f"There is no backup of {source} that this store knows of. Make one: "
        "ticketbook migrate backup --source … --to DIR. Or say --no-backup."
    )


def _take(
    service: Service,
    source: DatabaseSource | FolderSource,
    meaning: Translation,
    translate: Translate,
    provenance: Provenance,
    tell: Any,
) -> Tally:
    every = provenance.noting(tickets(source.records(TICKETS), source.name))
    if isinstance(source, FolderSource):
        transfer = Transfer(
            service.writer, service.log, meaning, translate, migration_origin(service), None
        )
        return transfer.take(every, tell)
    say_of_others(provenance)
    records = source.collection(TICKETS)
    taking = intake(service, records, meaning)
    before = any(True for _ in provenance.may_be_gone(service.log))
    place = _place(source)

    def again(ids: Any) -> None:
        read_at = service.log.head()
        taking.take(read(records, ids), read_at)

    transfer = Transfer(
        service.writer, service.log, meaning, translate, migration_origin(service), again
    )
    tally = transfer.take(every, tell)
    if before:
        came = provenance.may_be_gone(service.log)
        noted = remove_gone(records, taking, service.log, came, transfer.odd)
        tally.removed = sum(taken.removed for taken in noted)
    if place:  # whoever follows from here on hears of everything that this run may have missed
        Place(service.notes, source, TICKETS).keep(place)
    return tally


def _place(source: DatabaseSource) -> str | None:
    """The present place in the changes of the records; None where there are none to hear of."""
    with suppress(SourceUnusable), listening(source.collection(TICKETS)) as changes:
        return changes.token
    return None
