"""`ticketbook migrate plan`."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import typer

from api.cli.migrate.migrating import (
    SYSTEM,
    GoneOption,
    SourceOption,
    SystemOption,
    say_of_doubt,
    say_of_others,
    say_of_users,
    tally_rows,
    translation_of,
)
from api.cli.opening import read_only_if_any
from api.cli.output import Exit, Json, print_json, print_table, say
from api.cli.progress import Meter
from domain.origin import Origin, milliseconds
from domain.ticket.events import Recorded
from infrastructure.clock import now
from infrastructure.migration import plan as planning
from infrastructure.migration.counts import Tally
from infrastructure.migration.provenance import Provenance
from infrastructure.migration.sniff import tickets
from infrastructure.migration.source import TICKETS, USERS, DatabaseSource, open_source
from infrastructure.migration.targets import open_targets


def plan(
    source: SourceOption,
    system: SystemOption = SYSTEM,
    gone: GoneOption = False,
    json: Json = False,
) -> None:
    """Say what a migration would do. Reads everything, and writes nothing anywhere.

    Every record is imported clean, imported with repairs, put in quarantine with a reason, or was
    taken over already; those that were and are gone from a database since are counted. References
    of users that will not resolve are counted too; `migrate verify` lists them.
    """
    with read_only_if_any() as (history, catalogue), open_source(source) as opened_source:
        meaning = translation_of(catalogue, system)
        origin = Origin("plan", None, "plan", None, milliseconds(now()))
        total, meter = opened_source.count(TICKETS), Meter()

        def histories(ids: Collection[str]) -> Mapping[str, Sequence[Recorded]]:
            return history.log.histories(ids) if history else {}

        def tell(tally: Tally) -> None:
            meter.tell(TICKETS, tally.records, max(total, tally.records))

        try:
            with open_targets() as targets:
                records = tickets(opened_source.records(TICKETS), opened_source.name)
                tally = planning.plan(records, meaning, origin, histories, targets, tell)
                references = Counter[str]()
                meter.end()
                if history and isinstance(opened_source, DatabaseSource):
                    provenance = Provenance(history.notes, opened_source.name, meaning, gone)
                    say_of_others(provenance)
                    came = provenance.may_be_gone(history.log)
                    tally.removed = planning.plan_gone(came, meaning, origin, histories, targets)
                if say_of_users(opened_source):
                    users = opened_source.records(USERS)
                    references = planning.plan_references(users, targets, histories)
        except KeyboardInterrupt:
            say("\nInterrupted. Nothing was written: run the same command again.")
            raise typer.Exit(Exit.INTERRUPTED) from None
    meter.end()
    say_of_doubt(tally)
    if json:
        print_json(tally.as_json() | {"references": dict(references)})
    else:
        rows = tally_rows(tally)
        rows += [(f"  {kind}", count) for kind, count in references.most_common()]
        print_table(["what", "records"], rows)
