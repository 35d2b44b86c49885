"""`ticketbook migrate rollback | retire`: the way back, and the end of the old collection."""

import sys
from typing import Annotated

import typer

from api.cli.migrate.options import SourceOption, destination, interruptible
from api.cli.opening import open_for_command
from api.cli.options import DryRun, Json
from api.cli.output import Exit, counted, print_json, say
from api.wire.fields import camel_case
from infrastructure.migration import retire as retiring
from infrastructure.migration import rollback as rolling_back
from infrastructure.migration.restoring import TableDigest
from infrastructure.migration.retire import RetirePlan
from infrastructure.migration.rollback import RollbackPlan
from infrastructure.migration.source import TICKETS, database_of, open_source

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
    service first, so that none is made meanwhile. Other records in the place of ticket_1 are kept
    under another name, once the name of the collection was typed. The log keeps the events of the
    migration, and the tickets here stay as they are.
    """

    def confirm(plan: RollbackPlan) -> None:
        assert plan.replaces
        question = f"{_differing(plan.replaces)}, and would be kept as {plan.kept_as}"
        _confirm(question, yes_replace, "--yes-replace", "replaced")

    with (
        open_for_command() as service,
        open_source(source) as opened,
        interruptible(
            "Interrupted. Run the same command again: it starts afresh, nothing is lost."
        ),
    ):
        database = database_of(opened, "rolled back")
        if dry_run:
            _say_plan(rolling_back.preview_rollback(destination(service), database))
            return
        result = rolling_back.rollback(destination(service), database, confirm)
    backup = result.plan.backup
    if result.put_back:
        say(
            f"Put {counted(backup.content.records, 'record')} of {TICKETS} back "
            f"from {backup.folder}."
        )
        if result.plan.replaces:
            say(f"What stood there instead is kept as {result.plan.kept_as}.")
    else:
        say(
            f"{TICKETS} is as it was, with the {counted(backup.content.records, 'record')} "
            "of the backup."
        )
    if json:
        print_json(camel_case({**result.details, "put_back": result.put_back}))


def retire(
    source: SourceOption,
    yes_remove: YesRemove = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Remove ticket_1 from the old system, once every record of it is accounted for here.

    It must hold exactly what the last backup holds and the last `migrate verify` passed on.
    """

    def confirm(plan: RetirePlan) -> None:
        question = f"This removes {counted(plan.backup.content.records, 'record')}"
        _confirm(question, yes_remove, "--yes-remove", "removed")

    with (
        open_for_command() as service,
        open_source(source) as opened,
        interruptible(
            "Interrupted. Run the same command again to go on, or migrate rollback to go back."
        ),
    ):
        database = database_of(opened, "retired")
        if dry_run:
            plan = retiring.preview_retire(destination(service), database)
            if not plan.gone:
                say(
                    f"Would remove {TICKETS} with {counted(plan.backup.content.records, 'record')}."
                )
                return
        result = retiring.retire(destination(service), database, confirm)
    backup = result.backup
    if result.removed:
        say(
            f"Removed {TICKETS} with {counted(backup.content.records, 'record')}; "
            f"kept in {backup.folder}."
        )
    else:
        say(f"{TICKETS} is gone already; its records are kept in {backup.folder}.")
    if json:
        print_json({**result.details, "removed": result.removed})


def _say_plan(plan: RollbackPlan) -> None:
    """Print the plan of a rollback."""
    if plan.present == plan.backup.content:
        say(f"{TICKETS} is as it was: nothing to do.")
        return
    say(
        f"Would put {counted(plan.backup.content.records, 'record')} back "
        f"from {plan.backup.folder}."
    )
    if plan.present:
        say(f"{_differing(plan.present)}, and would be kept as {plan.kept_as}.")


def _differing(present: TableDigest) -> str:
    return (
        f"{TICKETS} holds {counted(present.records, 'record')}, which are not those of the backup"
    )


def _confirm(question: str, name: str | None, option: str, done: str) -> None:
    """Go on only when the collection's name was given ahead, or is typed."""
    typed = name
    if typed is None:
        try:
            print(f"{question}. Type the collection's name: ", end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline()
        except KeyboardInterrupt:  # nothing was begun
            say("\nInterrupted.")
            raise typer.Exit(Exit.INTERRUPTED) from None
        if not line:
            raise typer.BadParameter(
                f"No name was typed: nothing was {done}. Where nobody can type, say {option} NAME."
            )
        typed = line.strip()
    if typed != TICKETS:
        raise typer.BadParameter(f"{typed!r} is not {TICKETS}: nothing was {done}.")
