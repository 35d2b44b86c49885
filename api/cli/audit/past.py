"""`ticketbook audit at | grants | diff`: the tickets of the past, and the changes since."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import typer

from api.cli.audit.filter import refuse_unknown_names
from api.cli.journaling import record
from api.cli.listing import Listing, read_listing
from api.cli.opening import open_for_command
from api.cli.options import MOMENT, All, Json, Limit, Organisation, System, TicketId
from api.cli.output import example
from api.cli.times import DAYS, WHEN, On, Span, Zone, times
from api.cli.waiting import refuse_if_parked, wait_for_audit
from api.use_cases.service import Service
from api.wire.diff import ticket_diff_json
from api.wire.fields import iso
from api.wire.grants import grants_json
from api.wire.moments import no_position
from api.wire.tickets import ticket_then_json
from infrastructure.clock import now
from projections.audit.as_of import Then, ticket_at
from projections.audit.diff import TicketDiff, ticket_diffs
from projections.audit.grants import Place, Question, TicketGrants, grants_between
from projections.audit.projection import AuditEntry
from projections.audit.search import AuditFilter
from projections.tickets.search import TicketFilter

app = typer.Typer()

_WHEN: Final = f"A position of the log, or a moment {MOMENT}."


@app.command(
    "at",
    epilog=example("ticketbook audit at 2025-10-28 --system workforce_2 --feature delete_area"),
)
def at(
    moment: Annotated[str | None, typer.Argument(metavar="[WHEN]", help=_WHEN)] = None,
    on: Annotated[
        str | None, typer.Option("--on", metavar="DAY", help=f"At the end of {DAYS}.")
    ] = None,
    tz: Zone = "UTC",
    org: Organisation = None,
    system: System = None,
    name: Annotated[str | None, typer.Option(help="The whole name.")] = None,
    feature: Annotated[str | None, typer.Option(help="Tells who granted it, too.")] = None,
    limit: Limit = 50,
    everything: All = False,
    json: Json = False,
) -> None:
    """Print the tickets that were in use then."""
    if (moment is None) == (on is None):
        raise typer.BadParameter("Say WHEN, or a day with --on.")
    where = TicketFilter(org, system, name, feature)
    filters = {"org": org, "system": system, "name": name, "feature": feature}
    reader = times(tz, now)
    with open_for_command(watch=True) as service:
        if on is not None:
            position = _end_of(service, reader.span(on, "--on"), on)
        else:
            position = _position(service, reader.when(moment or "", WHEN))
        refuse_unknown_names(service, system=system, feature=feature)
        refuse_if_parked(service, position, org)
        record(
            service, "tickets.asked_as_of", {"at": moment, "on": on} | filters | {"limit": limit}
        )
        listing = _tickets(service, position, where, None if everything else limit)
        fragments = service.log.fragments([ticket.entry.ticket_id for ticket in listing.items])
    if json:
        listing.print_json(
            lambda ticket: _then_json(ticket, fragments[ticket.entry.ticket_id]), "tickets"
        )
    else:
        columns = ["ticket", "organisation", "system", "name", "features", "granted by"]
        listing.print_table(columns, lambda ticket: [_held_row(ticket)], "tickets", filters)


@app.command(
    "grants",
    epilog=example("ticketbook audit grants delete_area 2025-10-28 --system workforce_2"),
)
def grants(
    feature: Annotated[str, typer.Argument(metavar="FEATURE", help="Its name.")],
    day: Annotated[str | None, typer.Argument(metavar="[DAY]", help=f"{DAYS}.")] = None,
    on: On = None,
    tz: Zone = "UTC",
    org: Organisation = None,
    system: System = None,
    limit: Limit = 50,
    everything: All = False,
    json: Json = False,
) -> None:
    """Print the tickets that granted a feature at any time of a day, and who granted it."""
    text = day or on
    if text is None or (day and on):
        raise typer.BadParameter("Say DAY, here or with --on.")
    filters = {"feature": feature, "on": text, "org": org, "system": system}
    span = times(tz, now).span(text, "DAY")
    with open_for_command(watch=True) as service:
        before = span.before
        if before is not None and before >= service.clock():
            raise typer.BadParameter(f"{text} is still to come.")
        after = 0 if before is None else _position(service, before)
        upto = _position_at(service, span.last)
        refuse_unknown_names(service, system=system, FEATURE=feature)
        refuse_if_parked(service, upto, org)
        record(service, "grants.asked", filters | {"limit": limit})
        question = Question(feature, org, system)
        listing = _tickets_granting(service, question, after, upto, None if everything else limit)
    if json:
        listing.print_json(grants_json, "tickets")
    else:
        columns = ["ticket", "organisation", "system", "name", "granted by", "revoked by"]
        listing.print_table(columns, _grant_rows, "grants", filters)


@app.command("diff", epilog=example("ticketbook audit diff 2025-10-01 2025-11-01 --json"))
def diff(
    start: Annotated[str | None, typer.Argument(metavar="[FROM]", help=_WHEN)] = None,
    end: Annotated[str | None, typer.Argument(metavar="[TO]", help="The same; else now.")] = None,
    on: On = None,
    tz: Zone = "UTC",
    org: Organisation = None,
    system: System = None,
    ticket: TicketId = None,
    limit: Limit = 50,
    everything: All = False,
    json: Json = False,
) -> None:
    """Print the changes of tickets between two times or positions, and who made them."""
    if (start is None) == (on is None) or (on and end):
        raise typer.BadParameter("Say FROM, and TO if not now; or a day with --on.")
    where = AuditFilter(org_id=org, system=system, ticket_id=ticket)
    filters = {"org": org, "system": system, "ticket": ticket}
    reader = times(tz, now)
    with open_for_command(watch=True) as service:
        if on is not None:
            span = reader.span(on, "--on")
            after = 0 if span.before is None else _position(service, span.before)
            upto = _end_of(service, span, on)
        else:
            first = reader.when(start or "", "FROM")
            last = reader.when(end, "TO") if end is not None else None
            after, upto = _position(service, first), _position(service, last)
        if after > upto:
            raise typer.BadParameter("FROM is later than TO.")
        refuse_unknown_names(service, system=system)
        refuse_if_parked(service, upto, org, ticket)
        details = {"from": start, "to": end, "on": on} | filters | {"limit": limit}
        record(service, "audit.compared", details)
        listing = _differences(service, where, after, upto, None if everything else limit)
    if json:
        listing.print_json(ticket_diff_json, "tickets")
    else:
        columns = ["ticket", "name", "change", "position", "time", "actor", "reason"]
        listing.print_table(columns, _change_rows, "changes", filters)


def _end_of(service: Service, span: Span, text: str) -> int:
    """Where the log stood at the end of a day, or stands now, if that is still to come."""
    if span.start > service.clock():
        raise typer.BadParameter(f"{text} is still to come.")
    return _position_at(service, span.last)


def _position(service: Service, wanted: int | datetime | None) -> int:
    """Where the log stood then, or stands now."""
    if isinstance(wanted, datetime):
        if wanted > service.clock():
            raise typer.BadParameter(f"{iso(wanted)} is still to come.")
        return _position_at(service, wanted)
    head = wait_for_audit(service)
    if wanted is not None and wanted > head:
        raise typer.BadParameter(f"{no_position(wanted, head)} A day is written 2025-10-28.")
    return head if wanted is None else wanted


def _position_at(service: Service, moment: datetime) -> int:
    """That of the last event recorded at a moment or before; the head, if nothing was later."""
    service.times.refuse(moment)
    head = wait_for_audit(service)
    position = service.audit.view.position_at(moment)
    return head if position is None else position


def _tickets(
    service: Service, position: int, where: TicketFilter, limit: int | None
) -> Listing[Then]:
    def page(beyond: str | None, wanted: int) -> tuple[Sequence[Then], str | None]:
        read = service.audit.view.tickets_at(position, where, beyond=beyond, limit=wanted)
        return read.tickets, read.beyond

    return read_listing(page, limit)


def _tickets_granting(
    service: Service, question: Question, after: int, upto: int, limit: int | None
) -> Listing[TicketGrants]:
    def page(beyond: Place | None, wanted: int) -> tuple[Sequence[TicketGrants], Place | None]:
        read = grants_between(
            service.audit.view, question, after, upto, beyond=beyond, limit=wanted
        )
        return read.tickets, read.beyond

    return read_listing(page, limit)


def _differences(
    service: Service, where: AuditFilter, after: int, upto: int, limit: int | None
) -> Listing[TicketDiff]:
    def page(beyond: int | None, wanted: int) -> tuple[Sequence[TicketDiff], int | None]:
        read = ticket_diffs(service.audit.view, where, after, upto, beyond=beyond, limit=wanted)
        return read.diffs, read.beyond

    return read_listing(page, limit)


def _then_json(ticket: Then, history: Any) -> dict[str, Any]:
    return ticket_then_json(ticket_at(ticket.entry, history), ticket.granted_by)


def _held_row(ticket: Then) -> tuple[object, ...]:
    entry, content = ticket.entry, ticket.entry.after
    assert content is not None  # it was in use
    features = " ".join(content.features)
    return (
        entry.ticket_id,
        entry.org_id,
        entry.system,
        content.name,
        features,
        _by(ticket.granted_by),
    )


def _by(entry: AuditEntry | None) -> str:
    return f"{entry.actor} at {entry.position}, {iso(entry.recorded_at)}" if entry else "-"


def _grant_rows(grants: TicketGrants) -> list[tuple[object, ...]]:
    """A row for each time that the ticket granted the feature."""
    entry = grants.entry
    name = entry.after.name if entry.after else "-"
    ticket = (entry.ticket_id, entry.org_id, entry.system, name)
    return [(*ticket, _by(grant.granted), _by(grant.revoked)) for grant in grants.grants]


def _change_rows(diff: TicketDiff) -> list[tuple[object, ...]]:
    """A row for each change of a ticket."""
    changes: list[tuple[str, AuditEntry | None]] = [
        ("added", diff.added),
        ("retired", diff.retired),
        ("restored", diff.restored),
        ("renamed", diff.renamed),
        *((f"+{feature}", entry) for feature, entry in diff.granted),
        *((f"-{feature}", entry) for feature, entry in diff.revoked),
    ]
    name = diff.after.name if diff.after else "-"
    return [
        (
            diff.ticket_id,
            name,
            change,
            by.position,
            iso(by.recorded_at),
            by.actor,
            by.reason or "-",
        )
        for change, by in changes
        if by
    ]
