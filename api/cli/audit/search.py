"""`ticketbook audit search | reads`: who changed what, and who looked."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from api.cli.audit.filter import filter_json, filtered, refuse_unknown_names
from api.cli.journaling import record
from api.cli.listing import read_listing
from api.cli.opening import open_for_command
from api.cli.options import All, Json, Limit, hexadecimal
from api.cli.output import example
from api.cli.waiting import wait_for_audit_of
from api.export.readable import COLUMNS, USUAL, readable_csv
from api.use_cases.imported import imports_behind
from api.use_cases.known_names import filtered_names
from api.wire.audit import audit_entry_json
from api.wire.fields import iso
from api.wire.journal import journal_entry_json
from infrastructure.journal.entries import JournalEntry
from projections.audit.projection import AuditEntry
from projections.audit.search import AuditFilter

app = typer.Typer()

Numbered = tuple[int, JournalEntry]
"""An entry of the journal, and its number."""


class Order(StrEnum):
    """The orders of audit entries."""

    NEWEST = "newest"
    OLDEST = "oldest"


Csv = Annotated[bool, typer.Option("--csv", help="A table for spreadsheets.")]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="NAME,…", help=f"With --csv: of {', '.join(COLUMNS)}."),
]


@app.command("search", epilog=example("ticketbook audit search --feature delete_machine --limit 5"))
@filtered
def search(
    where: AuditFilter,
    order: Annotated[Order, typer.Option(help="Which entries come first.")] = Order.NEWEST,
    oldest_first: Annotated[bool, typer.Option("--oldest-first", hidden=True)] = False,
    limit: Limit = 50,
    everything: All = False,
    csv: Csv = False,
    columns: Columns = None,
    json: Json = False,
) -> None:
    """Print the entries that match every option given, once the audit log shows the whole log.

    With --csv as a table for spreadsheets, of chosen columns: it proves nothing, `audit export`
    does.
    """
    chosen = _columns(csv, columns, json)
    newest_first = order is Order.NEWEST and not oldest_first
    filters = filter_json(where)
    with open_for_command(watch=True) as service:
        wait_for_audit_of(service, where)
        refuse_unknown_names(service, **filtered_names(where))
        page_details = {"order": "newest" if newest_first else "oldest", "limit": limit}
        record(service, "audit.searched", filters | page_details)

        def page(beyond: int | None, wanted: int) -> tuple[Sequence[AuditEntry], int | None]:
            read = service.audit.view.page(
                where, beyond=beyond, limit=wanted, newest_first=newest_first
            )
            return read.entries, read.beyond

        listing = read_listing(page, None if everything else limit)
        imports = imports_behind(service.log, listing.items) if json else {}
    if json:
        listing.print_json(
            lambda entry: audit_entry_json(entry, imports.get(entry.position)), "entries"
        )
    elif csv:
        listing.print_lines(readable_csv(listing.items, chosen), "entries")
    else:
        titles = ["position", "time", "actor", "action", "ticket", "change", "reason"]
        listing.print_table(titles, lambda entry: [_entry_row(entry)], "entries", filters)


@app.command("reads", epilog=example("ticketbook audit reads --limit 20 --json"))
def reads(
    org: Annotated[
        str | None, typer.Option(help="Organisation of the reader.", callback=hexadecimal)
    ] = None,
    limit: Limit = 50,
    everything: All = False,
    json: Json = False,
) -> None:
    """Print who read the audit log and what operators did, newest first."""
    with open_for_command() as service:
        record(service, "journal.read", {"org": org, "limit": limit})

        def page(beyond: int | None, wanted: int) -> tuple[Sequence[Numbered], int | None]:
            read = service.journal.read(org, beyond=beyond, limit=wanted)
            return read, read[-1][0] if len(read) == wanted else None

        listing = read_listing(page, None if everything else limit)
    if json:
        listing.print_json(lambda numbered: journal_entry_json(*numbered), "entries")
    else:
        columns = ["number", "time", "actor", "organisation", "action", "details"]
        listing.print_table(
            columns, lambda numbered: [_journal_row(*numbered)], "entries", {"org": org}
        )


def _columns(csv: bool, columns: str | None, json: bool) -> Sequence[str]:
    """The columns to print, in the order in which they were named."""
    if csv and json:
        raise typer.BadParameter("Say --csv or --json, not both.")
    if columns is None:
        return USUAL
    if not csv:
        raise typer.BadParameter("--columns goes with --csv.")
    names = [name.strip() for name in columns.split(",")]
    if unknown := [name for name in names if name not in COLUMNS]:
        raise typer.BadParameter(
            f"There is no column {unknown[0]!r}. There are {', '.join(COLUMNS)}.",
            param_hint="--columns",
        )
    return names


def _journal_row(number: int, entry: JournalEntry) -> tuple[object, ...]:
    details = " ".join(f"{name}={value}" for name, value in entry.details.items())
    return (number, iso(entry.at), entry.actor, entry.org_id or "-", entry.action, details)


def _entry_row(entry: AuditEntry) -> tuple[object, ...]:
    return (
        entry.position,
        iso(entry.recorded_at),
        entry.actor,
        entry.action,
        entry.ticket_id,
        _change(entry),
        entry.reason or "-",
    )


def _change(entry: AuditEntry) -> str:
    parts = [f"+{feature}" for feature in entry.granted]
    parts += [f"-{feature}" for feature in entry.revoked]
    if entry.after and (entry.before is None or entry.before.name != entry.after.name):
        parts.insert(0, repr(entry.after.name))
    return " ".join(parts)
