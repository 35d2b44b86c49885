"""`retire`: remove `ticket_1` from the old system, once every record is accounted for here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import NotProven
from infrastructure.migration.backup import backed_up, intact_backup
from infrastructure.migration.destination import Destination
from infrastructure.migration.proofs import Backup, Proofs
from infrastructure.migration.restoring import is_out, rehearse, shape_now, take_out
from infrastructure.migration.rollback import details_of
from infrastructure.migration.source import TICKETS, DatabaseSource


@dataclass(frozen=True, slots=True)
class RetirePlan:
    """`gone` says that the collection was removed before."""

    backup: Backup
    gone: bool


@dataclass(frozen=True, slots=True)
class RetireResult:
    """`removed` is False when the collection was gone already."""

    backup: Backup
    removed: bool
    details: Mapping[str, Any]


def preview_retire(destination: Destination, source: DatabaseSource) -> RetirePlan:
    """Try the way back whole, under another name. Raises `NotProven` unless exactly what the last
    backup holds was verified, and like `rehearse`."""
    proofs = Proofs(destination.notes, source.name, TICKETS)
    backup = intact_backup(proofs, source.name)
    verified = proofs.verified()
    if verified is None or verified.content != backup.content:
        raise NotProven(
            f"The content that was backed up on {backup.at} was not verified. Run ticketbook "
            "migrate backup, then ticketbook migrate verify, while nothing writes to it."
        )
    records = source.collection(TICKETS)
    gone = is_out(records)
    if not gone:
        if shape_now(records) != backup.shape:
            raise NotProven(
                f"The options or the indexes of {TICKETS} were changed since it was backed up on "
                f"{backup.at}, and rollback would put it back without that change. Run ticketbook "
                "migrate backup, then ticketbook migrate verify."
            )
        rehearse(records, backed_up(backup), backup.content, backup.shape)
    return RetirePlan(backup, gone)


def retire(
    destination: Destination, source: DatabaseSource, confirm: Callable[[RetirePlan], None]
) -> RetireResult:
    """Remove the collection. `confirm` is asked first, and raises to stop. Safe to interrupt: run
    again, it goes on. Raises `SourceChanged` when the collection holds something else."""
    plan = preview_retire(destination, source)
    if plan.gone:
        return RetireResult(plan.backup, False, details_of(destination, source, plan.backup))
    confirm(plan)
    take_out(source.collection(TICKETS), plan.backup.content)
    details = details_of(destination, source, plan.backup)
    destination.record("migration.retired", details)
    return RetireResult(plan.backup, True, details)
