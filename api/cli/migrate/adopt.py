"""`ticketbook migrate adopt`: the tickets that stood in the store's own database before."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from api.cli.migrate.options import destination, interruptible, view_if_any
from api.cli.migrate.printing import conclude, line_of, print_mismatch, rows_of
from api.cli.migrate.verify import Summary
from api.cli.opening import open_for_command, read_only_if_any
from api.cli.options import DryRun, Json
from api.cli.output import LINE, counted, example, print_json, print_table, say
from api.wire.fields import camel_case
from domain.errors import ConfigurationError
from infrastructure.clock import now
from infrastructure.configuration.addresses import MongoDBStore
from infrastructure.configuration.settings import Settings, load_settings
from infrastructure.ids import holder
from infrastructure.migration import adopt as use_case
from infrastructure.migration.adoption import GENERAL
from infrastructure.migration.counts import Counts
from infrastructure.migration.source import DatabaseSource, open_source

app = typer.Typer(
    help="Take over a collection tickets that stands in the store's own MongoDB database.",
    invoke_without_command=True,
    epilog=example("ticketbook migrate adopt"),
)


@app.callback()
def adopt(context: typer.Context, dry_run: DryRun = False, json: Json = False) -> None:
    """Take over a collection tickets that stands in the store's own MongoDB database.

    Each document becomes a ticket of the system that it names, or goes into quarantine. The
    collection is kept as tickets_adopted_TIME; readers find the service's view of the tickets in
    its place, at once and complete. A program that still writes there gets an error.
    Safe to interrupt and to run again.
    """
    if context.invoked_subcommand:
        return
    with read_only_if_any(), _database(load_settings()) as source:
        if dry_run or use_case.documents_of(source) is None:
            _say_preview(use_case.count_documents(source))
            return
    with (
        open_for_command(make=True) as service,
        _database(service.settings) as source,
        interruptible("\nInterrupted. Nothing is lost: run the same command again to go on."),
    ):
        result = use_case.adopt(destination(service), source, service.tickets, holder, _tell)
    if result is None:
        _say_preview(None)
        return
    say(f"\nAdopted {GENERAL}: {line_of(result.counts)}. The collection is kept as {result.kept}.")
    if json:
        print_json(camel_case(result.as_json()))


@app.command(epilog=example("ticketbook migrate adopt rollback"))
def rollback(dry_run: DryRun = False) -> None:
    """Put the adopted collection back in its place, until the first change that is made here.

    Stop the service first, so that none is made meanwhile. The log keeps what was taken over.
    """
    with read_only_if_any(), _database(load_settings()) as source:
        set_aside = use_case.preview_adoption_rollback(source)
    with open_for_command(make=True) as service, _database(service.settings) as source:
        if dry_run:
            use_case.refuse_late_rollback(destination(service))
            say(f"Would rename {set_aside} to {GENERAL}.")
            return
        set_aside = use_case.roll_back_adoption(destination(service), source)
    say(f"{set_aside} is {GENERAL} again. To serve, adopt it again, or use another database.")


@app.command(epilog=example("ticketbook migrate adopt plan --json"))
def plan(json: Json = False) -> None:
    """Say what would become of each document. Reads everything, and writes nothing anywhere."""
    with view_if_any() as view, _database(load_settings()) as source:
        counts = use_case.plan_adoption(view, source, now())
    if counts is None:
        _say_preview(None)
    elif json:
        print_json(camel_case(counts.as_json()))
    else:
        print_table(["what", "documents"], rows_of(counts))


@app.command(epilog=example("ticketbook migrate adopt verify"))
def verify(json: Summary = False) -> None:
    """Compare each document with the log, and print what differs as JSON lines.

    Reads and understands the documents apart from what adopts them. The tickets that users of the
    same database refer to are looked at too. Kinds and exit codes are those of migrate verify.
    """
    with open_for_command(make=True) as service, _database(service.settings) as source:
        result = use_case.verify_adoption(destination(service), source, print_mismatch)
    if result is None:
        say(f"There is no collection {GENERAL}, and none that was adopted.")
    else:
        conclude(result, json)


@contextmanager
def _database(settings: Settings) -> Iterator[DatabaseSource]:
    """The store's own database, as a source."""
    if not isinstance(settings.store, MongoDBStore):
        raise ConfigurationError(
            "Only a MongoDB database can hold a collection to adopt, and TICKETBOOK_STORE names a "
            "SQLite file."
        )
    with open_source(settings.store.uri) as source:
        assert isinstance(source, DatabaseSource)
        yield source


def _say_preview(documents: int | None) -> None:
    if documents is None:
        say(f"There is no collection {GENERAL} to adopt.")
    else:
        say(f"Would adopt {counted(documents, 'document')}. See ticketbook migrate adopt plan.")


def _tell(number: int, counts: Counts) -> None:
    LINE.show(f"{counted(number, 'document')}; {line_of(counts)}")
