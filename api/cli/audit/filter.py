"""The options that choose audit entries, for every command that takes them."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import wraps
from inspect import Signature, signature
from typing import Annotated, Any

import typer

from api.cli.options import (
    Before,
    BeforePosition,
    Organisation,
    Since,
    SincePosition,
    System,
    TicketId,
)
from api.cli.times import On, Zone, times
from api.use_cases.known_names import doubtful_names, unknown_names
from api.use_cases.service import Service
from api.wire.fields import iso
from infrastructure.clock import now
from projections.audit.search import AuditFilter


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes those options and hands them on as its first argument."""
    filters = signature(_filter).parameters
    _, *own = signature(command).parameters.values()

    @wraps(command)
    def run(**options: Any) -> None:
        where = _filter(**{name: options.pop(name) for name in filters})
        command(where, **options)

    # typer reads both, and neither may know of the first argument
    parameters = [*filters.values(), *own]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def filter_json(where: AuditFilter) -> dict[str, object]:
    """The filter as JSON values."""
    return {
        name: iso(value) if isinstance(value, datetime) else value
        for name, value in asdict(where).items()
    }


def refuse_unknown_names(
    service: Service,
    *,
    system: str | None = None,
    action: str | None = None,
    **features: str | None,
) -> None:
    """A system, feature or action that neither the catalogue nor the log knows is wrong usage of
    its option."""
    doubtful = doubtful_names(
        service.catalogue.current(), None, system=system, action=action, **features
    )
    for each in unknown_names(service.audit.view, doubtful):
        raise typer.BadParameter(each.detail, param_hint=f"'{each.parameter}'")


def _filter(
    org: Organisation = None,
    system: System = None,
    ticket: TicketId = None,
    actor: Annotated[str | None, typer.Option(help="Who did it.")] = None,
    action: Annotated[str | None, typer.Option(help="Like ticket.renamed.")] = None,
    feature: Annotated[str | None, typer.Option(help="Granted or revoked.")] = None,
    granted: Annotated[str | None, typer.Option(help="This feature.")] = None,
    revoked: Annotated[str | None, typer.Option(help="This feature.")] = None,
    correlation: Annotated[str | None, typer.Option(help="Request or trace id.")] = None,
    text: Annotated[str | None, typer.Option(help="Part of the reason, in any case.")] = None,
    since: Since = None,
    before: Before = None,
    on: On = None,
    tz: Zone = "UTC",
    since_position: SincePosition = None,
    before_position: BeforePosition = None,
) -> AuditFilter:
    if text == "":  # it would find everything, and look like an answer
        raise typer.BadParameter("--text is empty.")
    first, end = times(tz, now).range(since, before, on)
    return AuditFilter(
        org_id=org,
        system=system,
        ticket_id=ticket,
        actor=actor,
        action=action,
        feature=feature,
        correlation_id=correlation,
        since=first,
        before=end,
        granted=granted,
        revoked=revoked,
        text=text,
        since_position=since_position,
        before_position=before_position,
    )
