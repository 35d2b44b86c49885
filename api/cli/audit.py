"""`ticketbook audit`: who changed what, for somebody with access to the store."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from api.cli.opened import hexadecimal, opened
from api.cli.output import Json, example, print_json, print_table
from api.cli.recorded import record
from api.http.models import entry_json, iso, journal_json
from projections.audit import AuditEntry, AuditFilter
from projections.journal import JournalEntry

app = typer.Typer(help="The audit log.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The audit log."""


@app.command("search", epilog=example("ticketbook audit search --feature delete_machine --limit 5"))
def search(
    org: Annotated[str | None, typer.Option(help="Organisation.", callback=hexadecimal)] = None,
    system: Annotated[str | None, typer.Option(help="System.")] = None,
    ticket: Annotated[str | None, typer.Option(help="Ticket id.", callback=hexadecimal)] = None,
    actor: Annotated[str | None, typer.Option(help="Who did it.")] = None,
    action: Annotated[str | None, typer.Option(help="Like ticket.renamed.")] = None,
    feature: Annotated[str | None, typer.Option(help="Granted or revoked.")] = None,
    granted: Annotated[str | None, typer.Option(help="This feature.")] = None,
    revoked: Annotated[str | None, typer.Option(help="This feature.")] = None,
    correlation: Annotated[str | None, typer.Option(help="Request or trace id.")] = None,
    text: Annotated[str | None, typer.Option(help="Part of the reason, in any case.")] = None,
    since: Annotated[datetime | None, typer.Option(help="From this moment on, in UTC.")] = None,
    before: Annotated[datetime | None, typer.Option(help="Up to this moment, in UTC.")] = None,
    since_position: Annotated[int | None, typer.Option(help="From there on.")] = None,
    before_position: Annotated[int | None, typer.Option(help="Up to there.")] = None,
    oldest_first: Annotated[bool, typer.Option("--oldest-first", help="Else newest.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most entries.")] = 50,
    json: Json = False,
) -> None:
    """Print the entries that match every option given."""
    where = AuditFilter(
        org,
        system,
        ticket,
        actor,
        action,
        feature,
        correlation,
        _utc(since),
        _utc(before),
        granted,
        revoked,
        text or None,
        since_position,
        before_position,
    )
    with opened() as service:
        order = "oldest" if oldest_first else "newest"
        record(service, "audit.searched", _given(where) | {"order": order, "limit": limit})
        found = service.audit.search(where, beyond=None, limit=limit, newest_first=not oldest_first)
    if json:
        print_json([entry_json(entry) for entry in found])
    else:
        columns = ["position", "time", "actor", "action", "ticket", "change", "reason"]
        print_table(columns, [_row(entry) for entry in found])


@app.command("reads", epilog=example("ticketbook audit reads --limit 20 --json"))
def reads(
    org: Annotated[
        str | None, typer.Option(help="Organisation of the reader.", callback=hexadecimal)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most entries.")] = 50,
    json: Json = False,
) -> None:
    """Print who read the audit log and what operators did, newest first."""
    with opened() as service:
        record(service, "journal.read", {"org": org, "limit": limit})
        found = service.journal.read(org, beyond=None, limit=limit)
    if json:
        print_json([journal_json(number, entry) for number, entry in found])
    else:
        columns = ["number", "time", "actor", "organisation", "action", "details"]
        print_table(columns, [_noted(number, entry) for number, entry in found])


def _noted(number: int, entry: JournalEntry) -> tuple[object, ...]:
    details = " ".join(f"{name}={value}" for name, value in entry.details.items())
    return (number, iso(entry.at), entry.actor, entry.org_id or "-", entry.action, details)


def _given(where: AuditFilter) -> dict[str, object]:
    """The filter as JSON values."""
    return {
        name: iso(value) if isinstance(value, datetime) else value
        for name, value in asdict(where).items()
    }


def _row(entry: AuditEntry) -> tuple[object, ...]:
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


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=UTC)
