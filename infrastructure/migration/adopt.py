"""`adopt`: take over the collection `tickets` that the store's own database held before.

Most is done while others go on writing there; then the collection gets its other name, and what
was written meanwhile is taken over from there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from domain.errors import NotProven
from infrastructure.migration.adoption import GENERAL, adoption_of
from infrastructure.migration.check import MigrationCheck
from infrastructure.migration.comparison import compare
from infrastructure.migration.counts import Counts
from infrastructure.migration.destination import Destination, DestinationView, translation_of
from infrastructure.migration.expected import read_again
from infrastructure.migration.imported_events import every_event, took_over
from infrastructure.migration.mismatches import Mismatch
from infrastructure.migration.plan import plan_records, planning
from infrastructure.migration.restoring import Records, raw
from infrastructure.migration.rollback import refuse_if_changed
from infrastructure.migration.source import USERS, DatabaseSource
from infrastructure.migration.targets import open_targets
from infrastructure.migration.translators import translating
from infrastructure.migration.verify import VerifyResult, show_all
from projections.versions.followed import LiveProjection
from projections.versions.repair import leading

Tell = Callable[[int, Counts], None]
"""Gets how many documents were compared, and what became of all so far."""


@dataclass(frozen=True, slots=True)
class AdoptResult:
    """`kept` is the name under which the collection is kept."""

    counts: Counts
    kept: str

    def as_json(self) -> Mapping[str, Any]:
        return self.counts.as_changes_json() | {"kept": self.kept}


def documents_of(source: DatabaseSource) -> Records | None:
    """The collection to adopt, or the one that was adopted; None when there is neither. Raises
    `SourceUnusable`."""
    adoption = adoption_of(source)
    return adoption.waiting if adoption.waiting is not None else adoption.kept


def count_documents(source: DatabaseSource) -> int | None:
    """How many documents would be adopted; None when there is nothing to adopt."""
    documents = documents_of(source)
    return None if documents is None else sum(1 for _ in raw(documents))


def adopt(
    destination: Destination,
    source: DatabaseSource,
    tickets: LiveProjection[Any],
    holder: Callable[[], str],
    tell: Tell,
) -> AdoptResult | None:
    """Take the documents over, keep the collection under another name, and show readers the live
    version of the `tickets` in its place. None when there is nothing to adopt.

    `holder` names this process when it brings that version up to date. Safe to interrupt anywhere,
    and to run again. Raises `StoreRefused` before the collection gets another name.
    """
    adoption, counts = adoption_of(source), Counts.of(destination.translation(None, GENERAL))
    set_aside, unchanged = adoption.kept, None
    if adoption.waiting is not None:
        _compare(destination, source, adoption.waiting, counts, tell)
        _catch_up(tickets, holder)
        tickets.versions.rehearse_switch()  # until the end, readers would find nothing
        set_aside = adoption.set_aside(destination.clock())
        unchanged = counts.unchanged
    if set_aside is None:
        return None
    counts.changed_here = 0  # the second comparison meets those of the first again
    _compare(destination, source, set_aside, counts, tell)
    if unchanged is not None:  # what the first comparison took over is unchanged the second time
        counts.unchanged = unchanged
    _catch_up(tickets, holder)
    tickets.versions.publish()
    result = AdoptResult(counts, set_aside.name)
    destination.record("migration.adopted", result.as_json())
    return result


def preview_adoption_rollback(source: DatabaseSource) -> str:
    """The name under which the adopted collection is kept. Raises `NotProven`."""
    set_aside = adoption_of(source).kept
    if set_aside is None:
        raise NotProven(f"There is nothing to roll back: no collection {GENERAL} was adopted.")
    return set_aside.name


def refuse_late_rollback(destination: Destination) -> None:
    """Raises `ChangedHere` once a change was made here."""
    refuse_if_changed(destination.log, GENERAL)


def roll_back_adoption(destination: Destination, source: DatabaseSource) -> str:
    """Give the adopted collection its name back. Returns the name that it had meanwhile. Raises
    `NotProven`, `ChangedHere`."""
    name = preview_adoption_rollback(source)
    refuse_late_rollback(destination)
    adoption_of(source).undo()
    destination.record("migration.adoption_rolled_back", {"kept": name})
    return name


def plan_adoption(view: DestinationView, source: DatabaseSource, now: datetime) -> Counts | None:
    """Count how each document would end up; None when there is nothing to adopt. Writes nothing."""
    documents = documents_of(source)
    if documents is None:
        return None
    translation = translation_of(view.catalogue, None, GENERAL)
    with open_targets() as targets:
        return plan_records(
            *(raw(documents), translation, planning(now)),
            *(view.histories, targets, lambda _: None),
        )


def verify_adoption(
    destination: Destination, source: DatabaseSource, show: Callable[[Mismatch], None]
) -> VerifyResult | None:
    """Compare each document with the log, and references of users of the same database; None when
    there is nothing to compare."""
    documents = documents_of(source)
    if documents is None:
        return None
    with open_targets() as targets:
        check = MigrationCheck(destination.log, GENERAL, None, destination.catalogue, targets)
        records = read_again(source, documents.name)
        users = read_again(source, USERS) if source.has(USERS) else iter(())
        mismatches = chain(check.records(records), check.extra(), check.references(users))
        return show_all(mismatches, check, show)


def _compare(
    destination: Destination,
    source: DatabaseSource,
    documents: Records,
    counts: Counts,
    tell: Tell,
) -> None:
    translation = destination.translation(None, GENERAL)
    importer = destination.importer(translation, documents, counts)
    log = destination.log
    imported = (event for event in every_event(log) if took_over(event, GENERAL))
    with translating(translation, source.count(documents.name)) as translate:
        compare(
            *(raw(documents), documents, importer, translate, log, imported),
            lambda number: tell(number, counts),
        )


def _catch_up(tickets: LiveProjection[Any], holder: Callable[[], str]) -> None:
    """Bring the live version of the tickets up to the end of the log: readers are to find all of
    them in it from the first moment."""
    with leading(tickets.live_version.projected, holder()) as (applier, renew):
        while applier.step():
            renew()
