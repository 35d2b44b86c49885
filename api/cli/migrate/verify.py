"""`ticketbook migrate verify`."""

from typing import Annotated

import typer

from api.cli.migrate.options import (
    SYSTEM,
    SourceOption,
    SystemOption,
    destination,
    interruptible,
    refusing_unknown_system,
)
from api.cli.migrate.printing import conclude, print_mismatch
from api.cli.migrate.reading_meter import ReadingMeter
from api.cli.opening import open_for_command
from infrastructure.migration import verify as use_case
from infrastructure.migration.source import open_source

Repairs = Annotated[
    bool, typer.Option("--repairs", help="List the tickets that were repaired as recorded, too.")
]
Summary = Annotated[
    bool, typer.Option("--json", help="End with a line of JSON that sums it up, kind summary.")
]


def verify(
    source: SourceOption,
    system: SystemOption = SYSTEM,
    repairs: Repairs = False,
    json: Summary = False,
) -> None:
    """Compare every record of ticket_1 with the log, and print what differs as JSON lines.

    Reads and understands the records apart from `run`. Each must be an equal ticket, a ticket with
    exactly the recorded repairs, or in quarantine, whole; nothing else may have been taken over;
    and each <system>.ticket of a user must be a ticket of that system and organisation.

    Kinds: missing, extra, content (with field and both values), completed, dismissed,
    dangling-reference, wrong-organisation, quarantined-reference; and with --repairs repaired,
    which says how, and which features were left out. A line is explained when the source itself is
    like that, or a change made here since accounts for it; references that nobody could resolve in
    the old system are listed like that. Exits with 0 only when nothing is unexplained. While the
    old system is still written to, first run `migrate follow --until-idle`.
    """
    meter = ReadingMeter()
    with (
        open_for_command() as service,
        open_source(source) as opened,
        refusing_unknown_system(),
        interruptible(
            "\nInterrupted. Nothing was changed: run the same command again from the start."
        ),
    ):
        result = use_case.verify(
            destination(service), opened, system, print_mismatch, meter.notify, meter.tell, repairs
        )
        meter.end()
    conclude(result, json)
