"""`run`: take every record of a source over."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from domain.errors import NotProven, SourceUnusable
from infrastructure.migration.changes import listening
from infrastructure.migration.comparison import compare
from infrastructure.migration.counts import Counts
from infrastructure.migration.destination import Destination, DestinationView, translation_of
from infrastructure.migration.notices import Notify, OtherSources, Started
from infrastructure.migration.place import FollowedPlace
from infrastructure.migration.proofs import Proofs
from infrastructure.migration.provenance import Provenance
from infrastructure.migration.sniff import tickets
from infrastructure.migration.source import TICKETS, DatabaseSource, FolderSource
from infrastructure.migration.translators import translating
from infrastructure.stores import Notes
from projections.running.collecting import rarely_collecting


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`gone` says that all sources so far are the same old system."""

    system: str
    no_backup: bool
    gone: bool


@dataclass(frozen=True, slots=True)
class RunResult:
    """How many records became what, and the position where the log ends."""

    counts: Counts
    position: int


def preview_run(
    view: DestinationView, source: DatabaseSource | FolderSource, options: RunOptions
) -> int:
    """About how many records a run would take over. Raises like `run`."""
    _check_backup(view.notes, source.name, options)
    translation_of(view.catalogue, options.system)
    return source.count(TICKETS)


def run(
    destination: Destination,
    source: DatabaseSource | FolderSource,
    options: RunOptions,
    notify: Notify,
    tell: Callable[[int, Counts], None],
) -> RunResult:
    """Take all over, and note which records are gone since an earlier run.

    `tell` gets how many records were settled, and their counts. Safe to interrupt anywhere,
    and to run again. Raises `NotProven` without a backup of the same source, `UnknownSystem`,
    `SourceUnusable`, `StoreUnavailable`.
    """
    _check_backup(destination.notes, source.name, options)
    translation, total = destination.translation(options.system), source.count(TICKETS)
    notify(Started(total))
    collection = source.collection(TICKETS) if isinstance(source, DatabaseSource) else None
    importer = destination.importer(translation, collection)
    provenance = Provenance(destination.notes, source.name, translation, options.gone)
    records = provenance.noting(tickets(source.records(TICKETS), source.name))
    log, counts = destination.log, importer.counts

    def report(number: int) -> None:
        tell(number, counts)

    with rarely_collecting(), translating(translation, total) as translate:
        if isinstance(source, FolderSource):
            importer.take_all(records, translate, report)
            return RunResult(counts, log.head())
        if others := provenance.others():
            notify(OtherSources(others))
        before = any(True for _ in provenance.may_be_gone(log))
        imported = provenance.may_be_gone(log) if before else ()
        token = _present_token(source)
        compare(records, source.collection(TICKETS), importer, translate, log, imported, report)
    if token:  # from here on `follow` hears of everything that this run may have missed
        FollowedPlace(destination.notes, source, TICKETS).keep(token)
    return RunResult(counts, log.head())


def _check_backup(notes: Notes | None, source: str, options: RunOptions) -> None:
    if options.no_backup or (notes and Proofs(notes, source, TICKETS).backup()):
        return
    raise NotProven(
        f"There is no backup of {source} that this store knows of. Make one: "
        "ticketbook migrate backup --source … --to DIR. Or say --no-backup."
    )


def _present_token(source: DatabaseSource) -> str | None:
    """The present place in the changes of the records; None where there are none to hear of."""
    with suppress(SourceUnusable), listening(source.collection(TICKETS)) as changes:
        return changes.token
    return None
