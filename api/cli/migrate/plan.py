"""`ticketbook migrate plan`."""

from api.cli.migrate.options import (
    SYSTEM,
    GoneOption,
    SourceOption,
    SystemOption,
    interruptible,
    refusing_unknown_system,
    view_if_any,
)
from api.cli.migrate.printing import rows_of, say_doubt
from api.cli.migrate.reading_meter import ReadingMeter
from api.cli.options import Json
from api.cli.output import print_json, print_table
from api.wire.fields import camel_case
from infrastructure.clock import now
from infrastructure.migration import plan as use_case
from infrastructure.migration.source import open_source


def plan(
    source: SourceOption,
    system: SystemOption = SYSTEM,
    gone: GoneOption = False,
    json: Json = False,
) -> None:
    """Say what a migration would do. Reads everything, and writes nothing anywhere.

    Every record is imported clean, imported with repairs, put in quarantine with a reason, or was
    taken over already. The plan also counts records that were taken over and are gone from a
    database since, and references of users that will not resolve; `migrate verify` lists these.
    """
    meter = ReadingMeter()
    with (
        view_if_any() as view,
        open_source(source) as opened,
        refusing_unknown_system(),
        interruptible("\nInterrupted. Nothing was written: run the same command again."),
    ):
        planned = use_case.plan(view, opened, system, gone, now(), meter.notify, meter.tell)
    meter.end()
    say_doubt(planned.counts)
    if json:
        print_json(camel_case(planned.counts.as_json()) | {"references": dict(planned.references)})
    else:
        rows = rows_of(planned.counts)
        rows += [(f"  {kind}", number) for kind, number in planned.references.most_common()]
        print_table(["what", "records"], rows)
