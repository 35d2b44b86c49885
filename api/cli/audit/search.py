"""`ticketbook audit search | reads`: who changed what, and who looked."""

from typing import Annotated

import typer

from api.cli.audit.filter import filter_json, filtered
from api.cli.journaling import record
from api.cli.opening import open_for_command
from api.cli.options import EntryLimit, Json, hexadecimal
from api.cli.output import example, print_json, print_table
from api.cli.waiting import wait_for_audit_of
from api.wire.audit import audit_entry_json
from api.wire.fields import iso
from api.wire.journal import journal_entry_json
from infrastructure.journal.entries import JournalEntry
from projections.audit.projection import AuditEntry
from projections.audit.search import AuditFilter

app = typer.Typer()


@app.command("search", epilog=example("ticketbook audit search --feature delete_machine --limit 5"))
@filtered
def search(
    where: AuditFilter,
    oldest_first: Annotated[bool, typer.Option("--oldest-first", help="Else newest.")] = False,
    limit: EntryLimit = 50,
    json: Json = False,
) -> None:
    """Print the entries that match every option given, once the audit log shows the whole log."""
    with open_for_command(watch=True) as service:
        wait_for_audit_of(service, where)
        order = "oldest" if oldest_first else "newest"
        record(service, "audit.searched", filter_json(where) | {"order": order, "limit": limit})
        entries = service.audit.view.search(
            where, beyond=None, limit=limit, newest_first=not oldest_first
        )
    if json:
        print_json([audit_entry_json(entry) for entry in entries])
    else:
        columns = ["position", "time", "actor", "action", "ticket", "change", "reason"]
        print_table(columns, [_entry_row(entry) for entry in entries])


@app.command("reads", epilog=example("ticketbook audit reads --limit 20 --json"))
def reads(
    org: Annotated[
        str | None, typer.Option(help="Organisation of the reader.", callback=hexadecimal)
    ] = None,
    limit: EntryLimit = 50,
    json: Json = False,
) -> None:
    """Print who read the audit log and what operators did, newest first."""
    with open_for_command() as service:
        record(service, "journal.read", {"org": org, "limit": limit})
        numbered = service.journal.read(org, beyond=None, limit=limit)
    if json:
        print_json([journal_entry_json(number, entry) for number, entry in numbered])
    else:
        columns = ["number", "time", "actor", "organisation", "action", "details"]
        print_table(columns, [_journal_row(number, entry) for number, entry in numbered])


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
