"""`ticketbook tickets create | change | retire | restore`."""

from typing import Annotated

import typer

from api.cli.opening import open_for_command
from api.cli.options import DryRun, Json, hexadecimal
from api.cli.output import example
from api.cli.tickets.options import (
    IdempotencyKey,
    OfOrganisation,
    Reason,
    TicketArgument,
    Version,
    checked,
    execute,
    key_of,
    origin,
    show_outcome,
)
from api.wire.tickets import ChangeTicketBody, CreateTicketBody, RestoreTicketBody
from domain.ticket.commands import CreateTicket, RestoreTicket, RetireTicket

app = typer.Typer()

Features = Annotated[
    list[str] | None, typer.Option("--feature", help="A feature; may be given repeatedly.")
]
EXAMPLE_ORG = "52f22665a60c12d289185d95"
EXAMPLE_TICKET = "6b0417f93d8b903e28dcca9b"


@app.command(
    "create",
    epilog=example(
        f"ticketbook tickets create --org {EXAMPLE_ORG} --system workforce_2 --name 'Night shift' "
        "--feature get_all"
    ),
)
def create(
    org: Annotated[
        str, typer.Option("--org", help="Organisation of the ticket.", callback=hexadecimal)
    ],
    system: Annotated[str, typer.Option(help="System of its features.")],
    name: Annotated[str, typer.Option(help="Its name.")],
    features: Features = None,
    reason: Reason = None,
    idempotency_key: IdempotencyKey = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Create a ticket. The actor is your account on this machine."""
    body = checked(
        CreateTicketBody, name=name, system=system, features=features or [], reason=reason
    )
    key = key_of(idempotency_key, "create", org, body.model_dump())
    with open_for_command(run=True, watch=True) as service:
        command = CreateTicket(
            ticket_id=service.new_id(),
            origin=origin(service, body.reason),
            org_id=org,
            system=body.system,
            name=body.name,
            features=tuple(body.features),
        )
        outcome = execute(service, [command], key, dry_run=dry_run)
    show_outcome(outcome, "created", json=json, dry_run=dry_run)


@app.command(
    "change",
    epilog=example(
        f"ticketbook tickets change {EXAMPLE_TICKET} --grant get_all --reason 'new duty'"
    ),
)
def change(
    ticket: TicketArgument,
    name: Annotated[str | None, typer.Option(help="The new name.")] = None,
    features: Annotated[
        list[str] | None,
        typer.Option("--feature", help="The full list after it; may be given repeatedly."),
    ] = None,
    grant: Annotated[
        list[str] | None, typer.Option(help="Add this feature; may be given repeatedly.")
    ] = None,
    revoke: Annotated[
        list[str] | None, typer.Option(help="Take this feature away; may be given repeatedly.")
    ] = None,
    reason: Reason = None,
    org: OfOrganisation = None,
    version: Version = None,
    idempotency_key: IdempotencyKey = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Change a ticket's name, its features, or both at once."""
    body = checked(
        ChangeTicketBody,
        name=name,
        features=features or None,
        grant=grant or None,
        revoke=revoke or None,
        reason=reason,
    )
    key = key_of(idempotency_key, "change", ticket, org, version, body.model_dump())
    with open_for_command(run=True, watch=True) as service:
        commands = body.commands(
            ticket, origin(service, body.reason), within=org, expected_version=version
        )
        outcome = execute(service, commands, key, dry_run=dry_run)
    show_outcome(outcome, "changed", json=json, dry_run=dry_run)


@app.command("retire", epilog=example(f"ticketbook tickets retire {EXAMPLE_TICKET}"))
def retire(
    ticket: TicketArgument,
    reason: Reason = None,
    org: OfOrganisation = None,
    version: Version = None,
    idempotency_key: IdempotencyKey = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Retire a ticket: it grants nothing any more, and its history stays."""
    body = checked(RestoreTicketBody, reason=reason)
    key = key_of(idempotency_key, "retire", ticket, org, version, reason)
    with open_for_command(run=True, watch=True) as service:
        command = RetireTicket(ticket, origin(service, body.reason), org, version)
        outcome = execute(service, [command], key, dry_run=dry_run)
    show_outcome(outcome, "retired", json=json, dry_run=dry_run)


@app.command("restore", epilog=example(f"ticketbook tickets restore {EXAMPLE_TICKET}"))
def restore(
    ticket: TicketArgument,
    reason: Reason = None,
    org: OfOrganisation = None,
    version: Version = None,
    idempotency_key: IdempotencyKey = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Bring a retired ticket back as it was."""
    body = checked(RestoreTicketBody, reason=reason)
    key = key_of(idempotency_key, "restore", ticket, org, version, reason)
    with open_for_command(run=True, watch=True) as service:
        command = RestoreTicket(ticket, origin(service, body.reason), org, version)
        outcome = execute(service, [command], key, dry_run=dry_run)
    show_outcome(outcome, "restored", json=json, dry_run=dry_run)
