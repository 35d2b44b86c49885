"""`ticketbook audit at | grants | diff`: the tickets of the past, and the changes since."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final, TypeVar

import typer

from api.cli.journaling import record
from api.cli.opening import open_for_command
from api.cli.options import ZONE, Json, Organisation, System, TicketId, TicketLimit, day, when
from api.cli.output import example, print_json, print_table
from api.cli.waiting import refuse_if_parked, wait_for_audit
from api.use_cases.service import Service
from api.wire.diff import ticket_diff_json
from api.wire.fields import iso
from api.wire.grants import grants_json
from api.wire.moments import no_position, span_of
from api.wire.tickets import ticket_then_json
from projections.audit.as_of import Then, ticket_at
from projections.audit.diff import TicketDiff, ticket_diffs
from projections.audit.grants import Place, Question, TicketGrants, grants_between
from projections.audit.projection import AuditEntry
from projections.audit.search import AuditFilter
from projections.tickets.search import TicketFilter

app = typer.Typer()

_PAGE: Final = 1_000
_WHEN: Final = f"A position of the log, or a moment {ZONE}."

Item = TypeVar("Item")


@app.command(
    "at",
    epilog=example("ticketbook audit at 2025-10-28 --system workforce_2 --feature delete_area"),
)
def at(
    moment: Annotated[str, typer.Argument(metavar="WHEN", help=_WHEN)],
    org: Organisation = None,
    system: System = None,
    name: Annotated[str | None, typer.Option(help="The whole name.")] = None,
    feature: Annotated[str | None, typer.Option(help="Tells who granted it, too.")] = None,
    limit: TicketLimit = 50,
    json: Json = False,
) -> None:
    """Print the tickets that were in use then."""
    where = TicketFilter(org, system, name, feature)
    question = {"at": moment, "org": org, "system": system, "name": name, "feature": feature}
    then = when(moment)
    with open_for_command(watch=True) as service:
        position = _position(service, then)
        refuse_if_parked(service, position, org)
        record(service, "tickets.asked_as_of", question | {"limit": limit})
        tickets = _tickets(service, position, where, limit)
        fragments = service.log.fragments([ticket.entry.ticket_id for ticket in tickets])
    if json:
        print_json([_then_json(ticket, fragments[ticket.entry.ticket_id]) for ticket in tickets])
    else:
        columns = ["ticket", "organisation", "system", "name", "features", "granted by"]
        print_table(columns, [_held_row(ticket) for ticket in tickets])


@app.command(
    "grants",
    epilog=example("ticketbook audit grants delete_area 2025-10-28 --system workforce_2"),
)
def grants(
    feature: Annotated[str, typer.Argument(metavar="FEATURE", help="Its name.")],
    on: Annotated[
        date, typer.Argument(metavar="DAY", parser=day, help="A day of UTC, like 2025-10-28.")
    ],
    org: Organisation = None,
    system: System = None,
    limit: TicketLimit = 50,
    json: Json = False,
) -> None:
    """Print the tickets that granted a feature at any time of a day, and who granted it."""
    question = {"feature": feature, "on": on.isoformat(), "org": org, "system": system}
    before, last = span_of(on)
    with open_for_command(watch=True) as service:
        if before is not None and before >= service.clock():
            raise typer.BadParameter(f"{on} is still to come.")
        after = 0 if before is None else _position(service, before)
        upto = _position_at(service, last)
        refuse_if_parked(service, upto, org)
        record(service, "grants.asked", question | {"limit": limit})
        tickets = _tickets_granting(service, Question(feature, org, system), after, upto, limit)
    if json:
        print_json([grants_json(ticket) for ticket in tickets])
    else:
        columns = ["ticket", "organisation", "system", "name", "granted by", "revoked by"]
        print_table(columns, [row for ticket in tickets for row in _grant_rows(ticket)])


@app.command("diff", epilog=example("ticketbook audit diff 2025-10-01 2025-11-01 --json"))
def diff(
    start: Annotated[str, typer.Argument(metavar="FROM", help=_WHEN)],
    end: Annotated[str | None, typer.Argument(metavar="[TO]", help="The same; else now.")] = None,
    org: Organisation = None,
    system: System = None,
    ticket: TicketId = None,
    limit: TicketLimit = 50,
    json: Json = False,
) -> None:
    """Print how tickets differ from what they were, and what did that."""
    where = AuditFilter(org_id=org, system=system, ticket_id=ticket)
    question = {"from": start, "to": end, "org": org, "system": system, "ticket": ticket}
    first, last = when(start), when(end) if end is not None else None
    with open_for_command(watch=True) as service:
        after, upto = _position(service, first), _position(service, last)
        if after > upto:
            raise typer.BadParameter("FROM is later than TO.")
        refuse_if_parked(service, upto, org, ticket)
        record(service, "audit.compared", question | {"limit": limit})
        diffs = _differences(service, where, after, upto, limit)
    if json:
        print_json([ticket_diff_json(each) for each in diffs])
    else:
        columns = ["ticket", "name", "change", "position", "time", "actor", "reason"]
        print_table(columns, [row for each in diffs for row in _change_rows(each)])


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
    head = wait_for_audit(service)
    position = service.audit.view.position_at(moment)
    return head if position is None else position


def _tickets(service: Service, position: int, where: TicketFilter, limit: int) -> list[Then]:
    def page(beyond: str | None, wanted: int) -> tuple[Sequence[Then], str | None]:
        read = service.audit.view.tickets_at(position, where, beyond=beyond, limit=wanted)
        return read.tickets, read.beyond

    return _read_through(page, limit)


def _tickets_granting(
    service: Service, question: Question, after: int, upto: int, limit: int
) -> list[TicketGrants]:
    def page(beyond: Place | None, wanted: int) -> tuple[Sequence[TicketGrants], Place | None]:
        read = grants_between(
            service.audit.view, question, after, upto, beyond=beyond, limit=wanted
        )
        return read.tickets, read.beyond

    return _read_through(page, limit)


def _differences(
    service: Service, where: AuditFilter, after: int, upto: int, limit: int
) -> list[TicketDiff]:
    def page(beyond: int | None, wanted: int) -> tuple[Sequence[TicketDiff], int | None]:
        read = ticket_diffs(service.audit.view, where, after, upto, beyond=beyond, limit=wanted)
        return read.diffs, read.beyond

    return _read_through(page, limit)


def _read_through(page: Callable[[Any, int], tuple[Sequence[Item], Any]], limit: int) -> list[Item]:
    """Page after page, until there are `limit` items or no more."""
    everything: list[Item] = []
    beyond = None
    while len(everything) < limit:
        items, beyond = page(beyond, min(limit - len(everything), _PAGE))
        everything += items
        if beyond is None:
            break
    return everything


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
