"""The options of commands to tickets, and how such a command is given and shown."""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Any, Final, TypeVar
from uuid import uuid4

import typer
from pydantic import BaseModel, ValidationError

from api.cli.journaling import os_user
from api.cli.options import hexadecimal
from api.cli.output import print_json, print_table, say
from api.cli.waiting import wait_for_views
from api.use_cases.service import Service
from api.wire.fields import KEY_PATTERN
from api.wire.tickets import ticket_json
from domain.deciding import Batch, Key, Outcome, Submission
from domain.origin import Origin, milliseconds
from domain.ticket.commands import Command
from domain.ticket.state import Ticket
from domain.ticket.stream import Stream

COLUMNS: Final = ("ticket", "organisation", "system", "name", "features", "version", "state")

TicketArgument = Annotated[
    str, typer.Argument(metavar="TICKET", help="Its id.", callback=hexadecimal)
]
OfOrganisation = Annotated[
    str | None,
    typer.Option("--org", help="Refuse a ticket of any other organisation.", callback=hexadecimal),
]
Reason = Annotated[str | None, typer.Option(help="Why; kept with the event.")]
Version = Annotated[
    int | None, typer.Option("--version", min=1, help="Refuse when the ticket has another one.")
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option("--idempotency-key", help="Repeating with the same key changes nothing twice."),
]

Body = TypeVar("Body", bound=BaseModel)


def checked(body: type[Body], **fields: Any) -> Body:
    """The body that HTTP would take; what is wrong with a field is wrong usage of its option."""
    try:
        return body.model_validate({k: v for k, v in fields.items() if v is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        hint = f"'--{first['loc'][0]}'" if first["loc"] else None
        raise typer.BadParameter(f"{first['msg']}.", param_hint=hint) from None


def origin(service: Service, reason: str | None) -> Origin:
    """The user of the operating system does it, now."""
    return Origin(
        actor=os_user(),
        reason=reason,
        correlation_id=f"cli-{uuid4().hex}",
        causation_id=None,
        occurred_at=milliseconds(service.clock()),
    )


def execute(
    service: Service, commands: Sequence[Command], key: Key | None, *, dry_run: bool
) -> Outcome:
    """The outcome, or what it would be. The views show what happened before this returns, unless
    they stay behind for seconds. Raises the `Refusal`."""
    if not dry_run:
        outcome = service.writer.execute(*commands, key=key)
        wait_for_views(service, outcome.position)
        return outcome
    ticket_id, log = commands[0].ticket_id, service.log
    stream = Stream()
    for recorded in log.histories([ticket_id]).get(ticket_id, ()):
        stream = stream.after(recorded)
    catalogue = service.catalogue.current()
    batch = Batch(log.head(), service.clock(), catalogue, {ticket_id: stream}, set())
    batch.take(Submission(tuple(commands)), {})
    (result,) = batch.results
    if isinstance(result, Exception):
        raise result
    return result


def key_of(value: str | None, *command: object) -> Key | None:
    """The key, private to the user, with a fingerprint of the command as it was given."""
    if value is None:
        return None
    if not re.fullmatch(KEY_PATTERN, value):
        raise typer.BadParameter(
            "it is 1 to 200 printable ASCII characters without spaces.",
            param_hint="'--idempotency-key'",
        )
    owner = sha256(f"* {os_user()}".encode()).hexdigest()[:32]
    return Key(f"{owner} {value}", sha256(repr(command).encode()).hexdigest())


def show_outcome(outcome: Outcome, verb: str, *, json: bool, dry_run: bool) -> None:
    """The ticket after the command, and what became of it."""
    assert outcome.ticket is not None
    if json:
        print_json(ticket_body(outcome.ticket))
    else:
        print_table(COLUMNS, [row(outcome.ticket)])
    ticket_id = outcome.ticket_id
    if outcome.replayed:
        say(f"Ticket {ticket_id}: this key was used before; nothing was done again.")
    elif not outcome.appended:
        say(f"Ticket {ticket_id} is as it was.")
    elif dry_run:
        say(f"Ticket {ticket_id} would be {verb}. Nothing was done.")
    else:
        say(f"Ticket {ticket_id} is {verb}, at position {outcome.position}.")


def ticket_body(ticket: Ticket) -> dict[str, Any]:
    """The JSON of HTTP, with what HTTP says in status and headers."""
    return ticket_json(ticket) | {"retired": ticket.retired, "position": ticket.position}


def row(ticket: Ticket) -> tuple[object, ...]:
    """A row of a table of tickets."""
    features, state = " ".join(ticket.features), "retired" if ticket.retired else "in use"
    return (
        ticket.id,
        ticket.org_id,
        ticket.system,
        ticket.name,
        features or "-",
        ticket.version,
        state,
    )
