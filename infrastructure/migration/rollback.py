"""`rollback`: put `ticket_1` back as the last backup holds it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import ChangedHere
from domain.log.ports import EventLog
from domain.origin import iso
from infrastructure.migration.backup import backed_up, intact_backup
from infrastructure.migration.destination import Destination
from infrastructure.migration.imported_events import first_change
from infrastructure.migration.place import FollowedPlace
from infrastructure.migration.proofs import Backup, Proofs
from infrastructure.migration.restoring import TableDigest, digest_of, exists, put_back, raw
from infrastructure.migration.source import TICKETS, DatabaseSource


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """`present` is what `ticket_1` holds now, None when there is none; that would be kept under
    the name `kept_as`, should it differ."""

    backup: Backup
    present: TableDigest | None
    kept_as: str

    @property
    def replaces(self) -> TableDigest | None:
        """Records in the place of `ticket_1` that are not those of the backup."""
        return None if self.present == self.backup.content else self.present


@dataclass(frozen=True, slots=True)
class RollbackResult:
    """`put_back` is False when `ticket_1` held the records of the backup already."""

    plan: RollbackPlan
    put_back: bool
    details: Mapping[str, Any]


def preview_rollback(destination: Destination, source: DatabaseSource) -> RollbackPlan:
    """Read the backup and the collection, and say what a rollback would do. Raises `NotProven`
    without an intact backup, and `ChangedHere`."""
    proofs = Proofs(destination.notes, source.name, TICKETS)
    backup = intact_backup(proofs, source.name)
    refuse_if_changed(destination.log, TICKETS)
    records = source.collection(TICKETS)
    present = digest_of(raw(records)) if exists(records) else None
    return RollbackPlan(backup, present, f"{TICKETS}_replaced_{destination.clock():%Y%m%dT%H%M%S}")


def rollback(
    destination: Destination, source: DatabaseSource, confirm: Callable[[RollbackPlan], None]
) -> RollbackResult:
    """Put the collection back to the byte. `confirm` is asked before another collection is
    replaced, and raises to stop. Safe to interrupt: run again, it starts afresh."""
    plan = preview_rollback(destination, source)
    if plan.replaces:
        confirm(plan)
    backup = plan.backup
    Proofs(destination.notes, source.name, TICKETS).is_not_verified()
    # without a place, following compares all records again
    FollowedPlace(destination.notes, source, TICKETS).forget()
    done = put_back(
        source.collection(TICKETS), backed_up(backup), backup.content, backup.shape, plan.kept_as
    )
    details = details_of(destination, source, backup)
    destination.record("migration.rolled_back", details)
    return RollbackResult(plan, done, details)


def refuse_if_changed(log: EventLog, collection: str) -> None:
    """Raise `ChangedHere` if a change was made here since records of the collection came."""
    if change := first_change(log, collection):
        origin = change.event.origin
        raise ChangedHere(
            f"It is too late to roll back: {origin.actor} made {change.event.TOPIC} of ticket "
            f"{change.ticket_id} here on {iso(origin.occurred_at)} (position {change.position}), "
            "and what was taken over knows nothing of that. Nothing was changed. Put right what is "
            "wrong here instead: ticketbook audit search shows it."
        )


def details_of(destination: Destination, source: DatabaseSource, backup: Backup) -> dict[str, Any]:
    """The details in the journal of a rollback, and of a retirement."""
    return {
        "source": source.name,
        "records": backup.content.records,
        "sha256": backup.content.sha256,
        "backup": backup.folder,
        "position": destination.log.head(),
    }
