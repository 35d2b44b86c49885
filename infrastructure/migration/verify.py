"""`verify`: compare every record of a source with the log."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from domain.errors import SourceUnusable
from infrastructure.migration.check import MigrationCheck
from infrastructure.migration.destination import Destination
from infrastructure.migration.dismissals import Dismissals
from infrastructure.migration.expected import read_again
from infrastructure.migration.mismatches import Accounted, Mismatch
from infrastructure.migration.notices import Notify, NoUsers, Started
from infrastructure.migration.proofs import Proofs, Verified
from infrastructure.migration.provenance import Provenance
from infrastructure.migration.sniff import tickets
from infrastructure.migration.source import TICKETS, USERS, DatabaseSource, FolderSource
from infrastructure.migration.targets import open_targets


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Where the records are, how many mismatches were listed, and how many are unexplained."""

    accounted: Accounted
    listed: int
    unexplained: int


def verify(
    destination: Destination,
    source: DatabaseSource | FolderSource,
    system: str,
    show: Callable[[Mismatch], None],
    notify: Notify,
    tell: Callable[[int], None],
    repairs: bool = False,
) -> VerifyResult:
    """Show every mismatch, and with `repairs` every ticket that was repaired as recorded; note as
    proof for `retire` that none was unexplained. `tell` gets how many records were compared. Raises
    `UnknownSystem`, `SourceUnusable`, `StoreUnavailable`."""
    translation = destination.translation(system)
    proofs = Proofs(destination.notes, source.name, TICKETS)
    total, position = source.count(TICKETS), destination.log.head()
    notify(Started(total))
    shared = Provenance(destination.notes, source.name, translation).is_shared()
    with open_targets() as targets:
        check = MigrationCheck(
            *(destination.log, TICKETS, system, translation.catalogue, targets, shared),
            dismissals=Dismissals(destination.notes, TICKETS),
            repairs=repairs,
        )
        records = _counted(tickets(read_again(source, TICKETS), source.name), source.name, tell)
        result = show_all(_mismatches(check, records, source, notify), check, show)
    if result.unexplained:
        proofs.is_not_verified()
    else:
        proofs.was_verified(Verified(check.content, position, destination.now()))
    return result


def show_all(
    mismatches: Iterable[Mismatch], check: MigrationCheck, show: Callable[[Mismatch], None]
) -> VerifyResult:
    """Show the mismatches of a check, and count them."""
    listed, unexplained = 0, 0
    for mismatch in mismatches:
        show(mismatch)
        listed += 1
        unexplained += mismatch.explained is None
    return VerifyResult(check.accounted, listed, unexplained)


def _counted(records: Iterable[bytes], name: str, tell: Callable[[int], None]) -> Iterator[bytes]:
    """The same records; `tell` gets their number. Raises `SourceUnusable` when there are none."""
    number = 0
    for number, record in enumerate(records, start=1):
        yield record
        tell(number)
    if not number:
        raise SourceUnusable(
            f"There is nothing in {TICKETS} of {name}, so nothing can be compared. Is it the right "
            "source, or was it retired already?"
        )


def _mismatches(
    check: MigrationCheck,
    records: Iterable[bytes],
    source: DatabaseSource | FolderSource,
    notify: Notify,
) -> Iterator[Mismatch]:
    yield from check.records(records)
    yield from check.extra()
    if source.has(USERS):
        yield from check.references(read_again(source, USERS))
    else:
        notify(NoUsers(source.name))
