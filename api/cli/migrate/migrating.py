"""What the commands of a migration share: where from, into which system, and who does it."""

from collections.abc import Callable
from typing import Annotated, Any, Final
from uuid import uuid4

import typer

from api.cli import journaling as recorded
from api.cli.output import say
from api.use_cases.service import Service
from api.wire.fields import iso
from domain.catalogue import Catalogue
from domain.errors import ChangedHere, SourceUnusable, UnknownSystem
from domain.origin import Origin, milliseconds
from infrastructure.migration.changes import read
from infrastructure.migration.counts import Tally
from infrastructure.migration.imported_events import first_change
from infrastructure.migration.intake import Intake, Taken
from infrastructure.migration.provenance import Provenance
from infrastructure.migration.records import Translation
from infrastructure.migration.restoring import Records
from infrastructure.migration.source import TICKETS, USERS, DatabaseSource, FolderSource
from infrastructure.stores import Notes


def named(address: str | None) -> str | None:
    """An empty address would be the folder where the command is run."""
    if address is not None and not address.strip():
        raise typer.BadParameter("it is empty. Name mongodb://HOST/DB, or a folder of dumps.")
    return address


SourceOption = Annotated[
    str,
    typer.Option(
        "--source",
        callback=named,
        help="mongodb://HOST/DB of the old system, or a folder of dumps.",
    ),
]
SystemOption = Annotated[
    str, typer.Option("--system", help="The system that the records belong to.")
]
GoneOption = Annotated[
    bool,
    typer.Option(
        "--gone",
        help="All sources so far are the same old system: note what is gone from this one.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]

SYSTEM: Final = "revolution_counter_1"
"""All records of `ticket_1` belong to it, unless told otherwise."""


def migration_origin(service: Service, reason: str | None = None) -> Callable[[], Origin]:
    """Whoever runs the command, at the moment of asking; one conversation per command."""
    actor, run = recorded.os_user(), f"migrate-{uuid4().hex}"
    return lambda: Origin(actor, reason, run, None, milliseconds(service.clock()))


def translation(service: Service, system: str | None, collection: str = TICKETS) -> Translation:
    return translation_of(service.catalogue.current(), system, collection)


def translation_of(
    catalogue: Catalogue, system: str | None, collection: str = TICKETS
) -> Translation:
    if system is not None:
        try:
            catalogue.system(system)
        except UnknownSystem as unknown:
            raise typer.BadParameter(unknown.detail, param_hint="--system") from None
    return Translation(collection, system, catalogue)


def intake(service: Service, records: Records, translation: Translation) -> Intake:
    """Takes records of that collection over, reading again what was overtaken."""

    def again(ids: Any) -> Any:
        return read(records, ids)

    return Intake(service.writer, service.log, translation, again, migration_origin(service))


def say_of_others(provenance: Provenance) -> None:
    """Say why no record will be noted as gone, if that is so."""
    if others := provenance.others():
        say(
            f"Records of this system were taken over from {', '.join(others)} too, so none that is "
            "not in this source is noted as gone. If all are the same old system, say --gone."
        )


def say_of_doubt(tally: Tally) -> None:
    """Warn when the records seem to be of another system than the one that was named."""
    if doubt := tally.fit.doubt():
        say(doubt)


def tally_rows(tally: Tally) -> list[tuple[str, int]]:
    """A tally as rows of a table: what, and how many records."""
    rows = [
        ("imported clean", tally.clean),
        ("imported with repairs", tally.repaired),
        *((f"  {repair}", count) for repair, count in tally.repairs.most_common()),
        *(
            (f"  unknown feature {feature!r}", count)
            for feature, count in tally.unknown_features.most_common()
        ),
        ("quarantined", tally.quarantined.total()),
        *((f"  {reason}", count) for reason, count in tally.quarantined.most_common()),
        ("already imported", tally.already),
    ]
    if tally.removed:
        rows.append(("gone since", tally.removed))
    return [*rows, ("all", tally.records)]


def database_of(source: DatabaseSource | FolderSource, doing: str) -> DatabaseSource:
    """The source, if it is a database; a folder of dumps cannot be done `doing` to."""
    if isinstance(source, DatabaseSource):
        return source
    raise SourceUnusable(
        f"{source.name} is a folder of dumps, and cannot be {doing}. Name the old system's "
        "database: --source mongodb://HOST/DB"
    )


class Place:
    """How far the changes of a source were followed, in the notes beside the log."""

    def __init__(self, notes: Notes, source: DatabaseSource, collection: str) -> None:
        self._notes = notes
        self._name = f"followed {source.name} {collection}"

    def find(self) -> str | None:
        found: str | None = self._notes.find(self._name)
        return found

    def keep(self, place: str) -> None:
        self._notes.keep(self._name, place)

    def forget(self) -> None:
        self._notes.forget(self._name)


def unchanged_here(service: Service, collection: str) -> None:
    """Raise `ChangedHere` if a change was made here since records of the collection came."""
    if change := first_change(service.log, collection):
        origin = change.event.origin
        raise ChangedHere(
            f"It is too late to roll back: {origin.actor} made {change.event.TOPIC} of ticket "
            f"{change.ticket_id} here on {iso(origin.occurred_at)} (position {change.position}), "
            "and what was taken over knows nothing of that. Nothing was changed. Put right what is "
            "wrong here instead: ticketbook audit search shows it."
        )


def say_of_users(source: DatabaseSource | FolderSource) -> bool:
    """Whether the source has users, whose references can be looked at; if not, that is said."""
    if source.has(USERS):
        return True
    say(f"{source.name} has no {USERS}: no references were looked at.")
    return False


def counts(taken: Taken) -> str:
    """What became of the records, in a line."""
    line = (
        f"{taken.imported:,} imported, {taken.quarantined:,} in quarantine, "
        f"{taken.removed:,} gone, {taken.unchanged:,} unchanged"
    )
    if taken.changed_here:
        line += f", {taken.changed_here:,} kept as changed here"
    if taken.replaced:
        line += f"; {taken.replaced:,} replaced a change made here"
    return line
