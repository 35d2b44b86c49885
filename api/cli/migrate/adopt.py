"""`ticketbook migrate adopt`: the tickets that stood in the store's own database before."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain

import typer

from api.cli.journaling import record
from api.cli.migrate.migrating import (
    DryRun,
    counts,
    intake,
    tally_rows,
    translation,
    translation_of,
    unchanged_here,
)
from api.cli.migrate.verify import Summary, conclude, print_all
from api.cli.opening import open_for_command, read_only_if_any
from api.cli.output import LINE, Exit, Json, example, print_json, print_table, say
from api.composition import holder
from api.use_cases.service import Service
from domain.errors import ConfigurationError, NotProven
from domain.origin import Origin, milliseconds
from domain.ticket.events import Recorded
from infrastructure.clock import now
from infrastructure.configuration.addresses import MongoDBStore
from infrastructure.configuration.settings import Settings, load_settings
from infrastructure.migration import plan as planning
from infrastructure.migration.adoption import GENERAL, Adoption, adoption_of
from infrastructure.migration.comparison import compare
from infrastructure.migration.expected import read_again
from infrastructure.migration.imported_events import every_event, took_over
from infrastructure.migration.intake import Taken
from infrastructure.migration.restoring import Records, raw
from infrastructure.migration.source import USERS, DatabaseSource, open_source
from infrastructure.migration.targets import open_targets
from infrastructure.migration.verify import MigrationCheck
from projections.versions.repair import leading

app = typer.Typer(
    help="Take over a collection tickets that stands in the store's own MongoDB database.",
    invoke_without_command=True,
    epilog=example("ticketbook migrate adopt"),
)


@dataclass(frozen=True, slots=True)
class Opened:
    service: Service
    source: DatabaseSource
    adoption: Adoption


@app.callback()
def adopt(context: typer.Context, dry_run: DryRun = False, json: Json = False) -> None:
    """Take over a collection tickets that stands in the store's own MongoDB database.

    Each document becomes a ticket of the system that it names, or goes into quarantine. The
    collection is kept as tickets_adopted_TIME; readers find the service's view of the tickets in
    its place, at once and complete. Whoever still writes there is told that it is for reading.
    Safe to interrupt and to run again.
    """
    if context.invoked_subcommand:
        return
    with read_only_if_any(), _database(load_settings()) as source:
        adoption = adoption_of(source)
        if adoption.waiting is None and adoption.kept is None:
            say(f"There is no collection {GENERAL} to adopt.")
            return
        if dry_run:
            number = sum(1 for _ in raw(_standing(adoption)))
            say(f"Would adopt {number:,} documents. See ticketbook migrate adopt plan.")
            return
    with _opened() as here:
        try:
            taken, kept = _adopt(here)
        except KeyboardInterrupt:
            say("\nInterrupted. Nothing is lost: run the same command again to go on.")
            raise typer.Exit(Exit.INTERRUPTED) from None
        record(here.service, "migration.adopted", asdict(taken) | {"kept": kept})
    say(f"\nAdopted {GENERAL}: {counts(taken)}. The collection is kept as {kept}.")
    if json:
        print_json(asdict(taken) | {"kept": kept})


@app.command(epilog=example("ticketbook migrate adopt rollback"))
def rollback(dry_run: DryRun = False) -> None:
    """Put the adopted collection back in its place, until the first change that is made here.

    Stop the service first, so that none is made meanwhile. The log keeps what was taken over.
    """
    with read_only_if_any(), _database(load_settings()) as source:
        if adoption_of(source).kept is None:
            raise NotProven(f"There is nothing to roll back: no collection {GENERAL} was adopted.")
    with _opened() as here:
        adoption = here.adoption
        assert adoption.kept is not None
        unchanged_here(here.service, GENERAL)
        if dry_run:
            say(f"Would rename {adoption.kept.name} to {GENERAL}.")
            return
        kept = adoption.kept.name
        adoption.undo()
        record(here.service, "migration.adoption_rolled_back", {"kept": kept})
    say(f"{kept} is {GENERAL} again. To serve, adopt it again, or use another database.")


@app.command(epilog=example("ticketbook migrate adopt plan --json"))
def plan(json: Json = False) -> None:
    """Say what would become of each document. Reads everything, and writes nothing anywhere."""
    with read_only_if_any() as (history, catalogue), _database(load_settings()) as source:
        adoption = adoption_of(source)
        if adoption.waiting is None and adoption.kept is None:
            say(f"There is no collection {GENERAL} to adopt.")
            return
        origin = Origin("plan", None, "plan", None, milliseconds(now()))
        histories = history.log.histories if history else _none
        meaning = translation_of(catalogue, None, GENERAL)
        with open_targets() as targets:
            records = raw(_standing(adoption))
            tally = planning.plan(records, meaning, origin, histories, targets, lambda _: None)
    if json:
        print_json(tally.as_json())
    else:
        print_table(["what", "documents"], tally_rows(tally))


@app.command(epilog=example("ticketbook migrate adopt verify"))
def verify(json: Summary = False) -> None:
    """Compare each document with the log, and print what differs as JSON lines.

    Reads and understands the documents apart from what adopts them. The tickets that users of the
    same database refer to are looked at too. Kinds and exit codes are those of migrate verify.
    """
    with _opened() as here, open_targets() as targets:
        if here.adoption.waiting is None and here.adoption.kept is None:
            say(f"There is no collection {GENERAL}, and none that was adopted.")
            return
        catalogue = here.service.catalogue.current()
        verification = MigrationCheck(here.service.log, GENERAL, None, catalogue, targets)
        documents = read_again(here.source, _standing(here.adoption).name)
        users = read_again(here.source, USERS) if here.source.has(USERS) else ()
        differing = chain(verification.records(documents), verification.extra())
        found = print_all(chain(differing, verification.references(users)))
    conclude(verification.accounted, *found, json)


@contextmanager
def _opened() -> Iterator[Opened]:
    with open_for_command(make=True) as service, _database(service.settings) as source:
        yield Opened(service, source, adoption_of(source))


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


def _none(_: Collection[str]) -> Mapping[str, Sequence[Recorded]]:
    return {}


def _standing(adoption: Adoption) -> Records:
    standing = adoption.waiting if adoption.waiting is not None else adoption.kept
    assert standing is not None
    return standing


def _adopt(here: Opened) -> tuple[Taken, str]:
    """What became of the documents, and the name under which they are kept.

    Most is done while others go on writing there; then the collection gets its other name, and
    what was written meanwhile is taken over from there.
    """
    first, kept = None, here.adoption.kept
    if here.adoption.waiting is not None:
        first = _compare(here.service, here.adoption.waiting)
        _catch_up(here.service)
        kept = here.adoption.set_aside(here.service.clock())
    assert kept is not None
    taken = _compare(here.service, kept)
    _catch_up(here.service)
    here.service.tickets.versions.publish()
    if first is not None:  # what it did is unchanged the second time
        changed_here = taken.changed_here
        taken = replace(first + taken, unchanged=first.unchanged, changed_here=changed_here)
    return taken, kept.name


def _compare(service: Service, standing: Records) -> Taken:
    taking = intake(service, standing, translation(service, None, GENERAL))
    came = (one for one in every_event(service.log) if took_over(one, GENERAL))
    return compare(raw(standing), standing, taking, service.log, came, _tell)


def _catch_up(service: Service) -> None:
    """Bring the live version of the tickets up to the end of the log: readers are to find all of
    them in it from the first moment."""
    live = service.tickets.live_version
    with leading(live.projected, holder()) as (applier, renew):
        while applier.step():
            renew()


def _tell(number: int, taken: Taken) -> None:
    LINE.show(f"{number:,} documents; {counts(taken)}")
