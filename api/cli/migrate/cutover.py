"""`ticketbook migrate rollback | retire`: the way back, and the end of the old collection."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.journaling import record
from api.cli.migrate.migrating import DryRun, Place, SourceOption, database_of, unchanged_here
from api.cli.opening import open_for_command
from api.cli.output import Exit, Json, print_json, say
from api.use_cases.service import Service
from domain.errors import NotProven
from infrastructure.migration.proofs import Backup, Proofs
from infrastructure.migration.restoring import (
    TableDigest,
    digest_of,
    exists,
    is_out,
    put_back,
    raw,
    take_out,
)
from infrastructure.migration.source import TICKETS, FolderSource, open_source

YesRemove = Annotated[
    str | None,
    typer.Option("--yes-remove", metavar="NAME", help="The collection to remove, unasked."),
]
YesReplace = Annotated[
    str | None,
    typer.Option("--yes-replace", metavar="NAME", help="The collection to replace, unasked."),
]


def rollback(
    source: SourceOption,
    yes_replace: YesReplace = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Put ticket_1 back as the last backup holds it, to the byte.

    Only until the first change that is made here after the tickets were taken over. Stop the
    service first, so that none is made meanwhile. What stands in the place of ticket_1 and is
    something else is kept under another name, once the name was typed. The log keeps what was taken
    over, and the tickets here stay as they are.
    """
    with open_for_command() as service, open_source(source) as opened_source:
        database = database_of(opened_source, "rolled back")
        evidence = Proofs(service.notes, database.name, TICKETS)
        backup = _intact(evidence, database.name)
        unchanged_here(service, TICKETS)
        records = database.collection(TICKETS)
        kept = f"{TICKETS}_replaced_{service.clock():%Y%m%dT%H%M%S}"
        standing = digest_of(raw(records)) if exists(records) else None
        if dry_run:
            _say_what(standing, backup, kept)
            return
        replacing = standing not in (None, backup.content)
        if replacing:
            assert standing
            question = f"{_differing(standing)}, and would be kept as {kept}"
            _confirm(question, yes_replace, "--yes-replace", "replaced")
        evidence.is_not_verified()
        Place(service.notes, database, TICKETS).forget()  # following compares all records again
        try:
            done = put_back(
                records,
                FolderSource(backup.folder, Path(backup.folder)).records(TICKETS),
                backup.content,
                backup.shape,
                kept,
            )
        except KeyboardInterrupt:
            say("Interrupted. Run the same command again: it starts afresh, nothing is lost.")
            raise typer.Exit(Exit.INTERRUPTED) from None
        what = _recorded(service, database.name, "migration.rolled_back", backup)
    if done:
        say(f"Put {backup.content.records:,} records of {TICKETS} back from {backup.folder}.")
        if replacing:
            say(f"What stood there instead is kept as {kept}.")
    else:
        say(f"{TICKETS} is as it was: its {backup.content.records:,} records are those backed up.")
    if json:
        print_json(what | {"put_back": done})


def retire(
    source: SourceOption,
    yes_remove: YesRemove = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Remove ticket_1 from the old system, once every record of it is accounted for here.

    It must hold exactly what the last backup holds and the last `migrate verify` passed on.
    """
    with open_for_command() as service, open_source(source) as opened_source:
        database = database_of(opened_source, "retired")
        evidence = Proofs(service.notes, database.name, TICKETS)
        backup = _intact(evidence, database.name)
        verified = evidence.verified()
        if verified is None or verified.content != backup.content:
            raise NotProven(
                f"The content that was backed up on {backup.at} was not verified. Run ticketbook "
                "migrate backup, then ticketbook migrate verify, while nothing writes to it."
            )
        records = database.collection(TICKETS)
        if is_out(records):
            say(f"{TICKETS} is gone already; its records are kept in {backup.folder}.")
            if json:
                print_json(_details(service, database.name, backup) | {"removed": False})
            return
        if dry_run:
            say(f"Would remove {TICKETS} with {backup.content.records:,} records.")
            return
        question = f"This removes {backup.content.records:,} records"
        _confirm(question, yes_remove, "--yes-remove", "removed")
        try:
            take_out(records, backup.content)
        except KeyboardInterrupt:
            say("Interrupted. Run the same command again to go on, or migrate rollback to go back.")
            raise typer.Exit(Exit.INTERRUPTED) from None
        what = _recorded(service, database.name, "migration.retired", backup)
    say(f"Removed {TICKETS} with {backup.content.records:,} records; kept in {backup.folder}.")
    if json:
        print_json(what | {"removed": True})


def _intact(evidence: Proofs, source: str) -> Backup:
    """The last backup, once all its bytes were read and found to be what was backed up."""
    backup = evidence.backup()
    if backup is None:
        raise NotProven(
            f"There is no backup of {source} that this store knows of. "
            "Make one: ticketbook migrate backup --source … --to DIR"
        )
    folder = FolderSource(backup.folder, Path(backup.folder))
    if digest_of(folder.records(TICKETS)) != backup.content:
        raise NotProven(
            f"The backup in {backup.folder} does not hold what was backed up on {backup.at}. "
            "Nothing was changed. Make a new one, or bring the folder back as it was."
        )
    return backup


def _say_what(standing: TableDigest | None, backup: Backup, kept: str) -> None:
    """What a rollback would do."""
    if standing == backup.content:
        say(f"{TICKETS} is as it was: nothing to do.")
        return
    say(f"Would put {backup.content.records:,} records back from {backup.folder}.")
    if standing:
        say(f"{_differing(standing)}, and would be kept as {kept}.")


def _differing(standing: TableDigest) -> str:
    return f"{TICKETS} holds {standing.records:,} records, which are not those of the backup"


def _confirm(question: str, given: str | None, option: str, done: str) -> None:
    """Go on only when the collection's name was given ahead, or is typed."""
    typed = given
    if typed is None:
        print(f"{question}. Type the collection's name: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise typer.BadParameter(
                f"No name was typed: nothing was {done}. Where nobody can type, say {option} NAME."
            )
        typed = line.strip()
    if typed != TICKETS:
        raise typer.BadParameter(f"{typed!r} is not {TICKETS}: nothing was {done}.")


def _recorded(service: Service, source: str, action: str, backup: Backup) -> dict[str, Any]:
    """What was done, once it is in the journal."""
    details = _details(service, source, backup)
    record(service, action, details)
    return details


def _details(service: Service, source: str, backup: Backup) -> dict[str, Any]:
    return {
        "source": source,
        "records": backup.content.records,
        "sha256": backup.content.sha256,
        "backup": backup.folder,
        "position": service.log.head(),
    }
