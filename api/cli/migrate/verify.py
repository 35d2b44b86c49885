"""`ticketbook migrate verify`."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from pydantic_core import to_json

from api.cli.migrate.migrating import SYSTEM, SourceOption, SystemOption, say_of_users, translation
from api.cli.opening import open_for_command
from api.cli.output import Exit, say
from api.cli.progress import Meter
from api.wire.fields import iso
from domain.errors import SourceUnusable
from infrastructure.migration.expected import read_again
from infrastructure.migration.mismatches import Accounted, Mismatch
from infrastructure.migration.proofs import Proofs, Verified
from infrastructure.migration.provenance import Provenance
from infrastructure.migration.sniff import tickets
from infrastructure.migration.source import (
    TICKETS,
    USERS,
    DatabaseSource,
    FolderSource,
    open_source,
)
from infrastructure.migration.targets import open_targets
from infrastructure.migration.verify import MigrationCheck

Summary = Annotated[
    bool, typer.Option("--json", help="End with a line of JSON that sums it up, kind summary.")
]


def verify(source: SourceOption, system: SystemOption = SYSTEM, json: Summary = False) -> None:
    """Compare every record of ticket_1 with the log, and print what differs as JSON lines.

    Reads and understands the records apart from `run`. Each must be an equal ticket, a ticket with
    exactly the recorded repairs, or in quarantine, whole; nothing else may have been taken over;
    and each <system>.ticket of a user must be a ticket of that system and organisation.

    Kinds: missing, extra, content (with field and both values), dangling-reference,
    wrong-organisation, quarantined-reference. A line is explained when the source itself is like
    that, or a change made here since accounts for it; references that nobody could resolve in the
    old system are listed like that. Exits with 0 only when nothing is unexplained. While the old
    system is still written to, first run `migrate follow --until-idle`.
    """
    with (
        open_for_command() as service,
        open_source(source) as opened_source,
        open_targets() as targets,
    ):
        meaning = translation(service, system)
        evidence = Proofs(service.notes, opened_source.name, TICKETS)
        total, meter, position = opened_source.count(TICKETS), Meter(), service.log.head()
        shared = Provenance(service.notes, opened_source.name, meaning).is_shared()
        verification = MigrationCheck(
            service.log, TICKETS, system, meaning.catalogue, targets, shared
        )

        def records() -> Iterator[bytes]:
            number = 0
            found = tickets(read_again(opened_source, TICKETS), opened_source.name)
            for number, record in enumerate(found, start=1):
                yield record
                if number % 1_000 == 0 or number == total:
                    meter.tell(TICKETS, number, max(total, number))
            if not number:
                raise SourceUnusable(
                    f"There is nothing in {TICKETS} of {opened_source.name}, so nothing can be "
                    "compared. Is it the right source, or was it retired already?"
                )

        try:
            listed, unexplained = print_all(_mismatches(verification, records(), opened_source))
        except KeyboardInterrupt:
            say("\nInterrupted. Nothing was changed: run the same command again from the start.")
            raise typer.Exit(Exit.INTERRUPTED) from None
        meter.end()
        if unexplained:
            evidence.is_not_verified()
        else:
            at = iso(service.clock())
            evidence.was_verified(Verified(verification.content, position, at))
    conclude(verification.accounted, listed, unexplained, json)


def print_all(mismatches: Iterable[Mismatch]) -> tuple[int, int]:
    """Print them as JSON lines. How many there are, and how many of them are unexplained."""
    listed, unexplained = 0, 0
    for mismatch in mismatches:
        print(to_json(mismatch.as_json()).decode())
        listed += 1
        unexplained += mismatch.explained is None
    return listed, unexplained


def conclude(found: Accounted, listed: int, unexplained: int, json: bool) -> None:
    """Say what was found; exits with 1 when anything is unexplained."""
    if json:
        counted = {"listed": listed, "unexplained": unexplained}
        print(to_json({"kind": "summary"} | asdict(found) | counted).decode())
    say(
        f"{found.records:,} records: {found.equal:,} equal tickets, {found.repaired:,} with "
        f"exactly the recorded repairs, {found.changed_here:,} changed here since, "
        f"{found.quarantined:,} in quarantine. {found.gone:,} are gone on both sides."
    )
    say(f"{listed:,} listed, {unexplained:,} of them unexplained.")
    if unexplained:
        raise typer.Exit(Exit.DIFFERENT)


def _mismatches(
    verification: MigrationCheck, records: Iterable[bytes], source: DatabaseSource | FolderSource
) -> Iterator[Mismatch]:
    yield from verification.records(records)
    yield from verification.extra()
    if say_of_users(source):
        yield from verification.references(read_again(source, USERS))
