"""`ticketbook audit at | diff`: what was true then, and what has changed since."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from api.cli.opened import hexadecimal, opened
from api.cli.output import Json, example, print_json, print_table
from api.cli.recorded import record
from api.composition import Service
from api.http.models import difference_json, iso, then_json
from domain.errors import ProjectionBehind
from projections.as_of import Then, ticket_at
from projections.audit import AUDIT, AuditEntry, AuditFilter
from projections.diff import Difference, differences
from projections.tickets import TicketFilter

app = typer.Typer()

_WAIT_SECONDS: Final = 5.0
_PAGE: Final = 1_000
_WHEN: Final = "A position, or a moment like 2025-10-28T09:30:00Z (UTC unless it says otherwise)."

Organisation = Annotated[str | None, typer.Option(help="Organisation.", callback=hexadecimal)]
System = Annotated[str | None, typer.Option(help="System.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="Most tickets.")]


@app.command(
    "at",
    epilog=example("ticketbook audit at 2025-10-28 --system workforce_2 --feature delete_area"),
)
def at(
    when: Annotated[str, typer.Argument(help=_WHEN)],
    org: Organisation = None,
    system: System = None,
    name: Annotated[str | None, typer.Option(help="The whole name.")] = None,
    feature: Annotated[str | None, typer.Option(help="Tells who granted it, too.")] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """Print the tickets that were in use then."""
    where = TicketFilter(org, system, name, feature)
    asked = {"at": when, "org": org, "system": system, "name": name, "feature": feature}
    with opened() as service:
        position = _position(service, when)
        record(service, "tickets.asked_as_of", asked | {"limit": limit})
        found = _tickets(service, position, where, limit)
        fragments = service.log.fragments([one.entry.ticket_id for one in found])
    if json:
        print_json([_then(one, fragments[one.entry.ticket_id]) for one in found])
    else:
        columns = ["ticket", "organisation", "system", "name", "features", "granted by"]
        print_table(columns, [_held(one) for one in found])


@app.command("diff", epilog=example("ticketbook audit diff 2025-10-01 2025-11-01 --json"))
def diff(
    start: Annotated[str, typer.Argument(metavar="FROM", help=_WHEN)],
    end: Annotated[str | None, typer.Argument(metavar="[TO]", help="The same; else now.")] = None,
    org: Organisation = None,
    system: System = None,
    ticket: Annotated[str | None, typer.Option(help="Ticket id.", callback=hexadecimal)] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """Print how tickets differ from what they were, and what did that."""
    where = AuditFilter(org, system, ticket)
    asked = {"from": start, "to": end, "org": org, "system": system, "ticket": ticket}
    with opened() as service:
        after, upto = _position(service, start), _position(service, end)
        record(service, "audit.compared", asked | {"limit": limit})
        found = _differences(service, where, after, upto, limit)
    if json:
        print_json([difference_json(one) for one in found])
    else:
        columns = ["ticket", "name", "change", "position", "time", "actor", "reason"]
        print_table(columns, [row for one in found for row in _changes(one)])


def _position(service: Service, when: str | None) -> int:
    """Where the log stood then. The audit log must show all there is for that to mean anything."""
    head = service.log.head()
    live = service.projections[AUDIT.name].live
    if not live.progress.wait(head, _WAIT_SECONDS):
        raise ProjectionBehind(
            f"The audit log stands at position {live.progress.position}, not yet at {head}. "
            "ticketbook serve keeps it current: start it, or try again in a moment."
        )
    if parked := live.view.parked():
        raise ProjectionBehind(
            f"Ticket {min(parked)} is parked: what happened to it does not show. "
            "Look at ticketbook projections parked list."
        )
    if when is None:
        return head
    if when.isdecimal():
        if int(when) > head:
            raise typer.BadParameter(f"The log ends at position {head} now.")
        return int(when)
    moment = _moment(when)
    if moment > service.clock():
        raise typer.BadParameter(f"{when} is still to come.")
    found = service.audit.position_at(moment)
    return head if found is None else found


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a position nor a moment.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _tickets(service: Service, position: int, where: TicketFilter, limit: int) -> list[Then]:
    found: list[Then] = []
    beyond: str | None = None
    while len(found) < limit:
        wanted = min(limit - len(found), _PAGE)
        page = service.audit.tickets_at(position, where, beyond=beyond, limit=wanted)
        found += page.tickets
        beyond = page.beyond
        if beyond is None:
            break
    return found


def _differences(
    service: Service, where: AuditFilter, after: int, upto: int, limit: int
) -> list[Difference]:
    found: list[Difference] = []
    beyond: int | None = None
    while len(found) < limit:
        wanted = min(limit - len(found), _PAGE)
        page = differences(service.audit, where, after, upto, beyond=beyond, limit=wanted)
        found += page.differences
        beyond = page.beyond
        if beyond is None:
            break
    return found


def _then(one: Then, history: Any) -> dict[str, Any]:
    return then_json(ticket_at(one.entry, history), one.granted_by)


def _held(one: Then) -> tuple[object, ...]:
    entry, grant = one.entry, one.granted_by
    held = entry.after
    assert held is not None  # it was in use
    by = f"{grant.actor} at {grant.position}, {iso(grant.recorded_at)}" if grant else "-"
    features = " ".join(held.features)
    return (entry.ticket_id, entry.org_id, entry.system, held.name, features, by)


def _changes(one: Difference) -> list[tuple[object, ...]]:
    """A row for each change of a ticket."""
    changes: list[tuple[str, AuditEntry | None]] = [
        ("added", one.added),
        ("retired", one.retired),
        ("restored", one.restored),
        ("renamed", one.renamed),
        *((f"+{feature}", entry) for feature, entry in one.granted),
        *((f"-{feature}", entry) for feature, entry in one.revoked),
    ]
    name = one.after.name if one.after else "-"
    return [
        (
            one.ticket_id,
            name,
            what,
            by.position,
            iso(by.recorded_at),
            by.actor,
            by.reason or "-",
        )
        for what, by in changes
        if by
    ]
