"""`ticketbook migrate report | status`: what was repaired, and how far a migration is."""

from collections.abc import Sequence
from typing import Annotated

import typer

from api.cli.listing import read_listing
from api.cli.migrate.options import SourceOption, view_if_any
from api.cli.opening import read_only
from api.cli.options import All, Json, Limit
from api.cli.output import counted, print_json, print_table, say
from infrastructure.migration import report as reporting
from infrastructure.migration import status as use_case
from infrastructure.migration.report import RepairedTicket
from infrastructure.migration.source import open_source
from infrastructure.migration.status import MigrationStatus

OneTicket = Annotated[str | None, typer.Option("--ticket", help="Only this ticket.")]

_STEPS = {
    "backup": "ticketbook migrate backup",
    "run": "ticketbook migrate run",
    "verify": "ticketbook migrate verify",
    "retire": "try the new service, then ticketbook migrate retire",
    "done": "none: the collection was removed. ticketbook migrate rollback puts it back",
}


def report(
    ticket: OneTicket = None, limit: Limit = 50, everything: All = False, json: Json = False
) -> None:
    """Print each ticket whose record was repaired, and the features that were left out of it."""
    with read_only() as history:
        reported = reporting.report(history.log, ticket)

    def page(after: int | None, wanted: int) -> tuple[Sequence[RepairedTicket], int | None]:
        begin = after or 0
        end = begin + wanted
        return reported.repaired[begin:end], end if end < len(reported.repaired) else None

    listing = read_listing(page, None if everything else limit)
    if json:
        print_json(
            {
                "imported": reported.imported,
                "repaired": len(reported.repaired),
                "repairs": dict(reported.repairs.most_common()),
                "unknownFeatures": dict(reported.unknown_features.most_common()),
                "quarantined": dict(reported.quarantined.most_common()),
                "tickets": [repaired.as_json() for repaired in listing.items],
            }
        )
        return
    repaired = len(reported.repaired)
    columns = ["ticket", "name", "position", "repairs", "features left out"]
    listing.print_table(columns, lambda one: [_row(one)], "tickets", {"ticket": ticket})
    say(f"{counted(reported.imported, 'ticket')} were imported, {repaired:,} of them with repairs.")
    for repair, number in reported.repairs.most_common():
        say(f"  {number:,}: {repair}")
    for feature, number in reported.unknown_features.most_common():
        say(f"  {number:,}: unknown feature {feature!r}")
    for reason, number in reported.quarantined.most_common():
        say(f"  {number:,} in quarantine: {reason}")


def status(source: SourceOption, json: Json = False) -> None:
    """Say which step of a migration is next, and when the last ones were done."""
    with view_if_any() as view, open_source(source) as opened:
        reported = use_case.status(view, opened)
    if json:
        print_json(reported.as_json())
    else:
        print_table(["step", "done"], _rows(reported))
        say(f"Next: {_STEPS[reported.next]}.")


def _rows(reported: MigrationStatus) -> list[tuple[str, str]]:
    backup, verified = reported.backup, reported.verified
    retired = "ticket_1 is gone" if reported.retired else "no"
    return [
        ("source", f"{reported.source}, about {counted(reported.records, 'record')}"),
        (
            "backup",
            f"{backup.at}, {counted(backup.content.records, 'record')} in {backup.folder}"
            if backup
            else "no",
        ),
        ("run", f"first record taken over {reported.began}" if reported.began else "no"),
        (
            "verify",
            f"{verified.at}, {counted(verified.content.records, 'record')}, up to position "
            f"{verified.position}"
            if verified
            else "no",
        ),
        ("retire", retired),
    ]


def _row(repaired: RepairedTicket) -> tuple[object, ...]:
    return (
        repaired.ticket,
        repaired.name,
        repaired.position,
        "; ".join(repaired.repairs) or "-",
        " ".join(repaired.unknown_features) or "-",
    )
