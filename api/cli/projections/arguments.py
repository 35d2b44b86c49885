"""The argument that names a projection, and the words for its rows."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from api.use_cases.service import Service
from projections.versions.followed import LiveProjection
from projections.versions.verification import ViewMismatch

Name = Annotated[str, typer.Argument(help="tickets or audit.")]
Names = Annotated[str | None, typer.Argument(help="tickets or audit; both when left out.")]


def named(service: Service, name: str) -> LiveProjection[Any]:
    """Raises `BadParameter`, which is wrong usage."""
    if name not in service.projections:
        known = ", ".join(service.projections)
        raise typer.BadParameter(f"There is no projection {name!r}; there are {known}.")
    return service.projections[name]


def chosen(service: Service, name: str | None) -> Mapping[str, LiveProjection[Any]]:
    """The named projection, or every one. Raises `BadParameter`."""
    return service.projections if name is None else {name: named(service, name)}


def where(difference: ViewMismatch) -> str:
    """The place in the view, and why nobody can tell its right content, if so."""
    why = f", {difference.why}" if difference.why else ""
    if isinstance(difference.key, int):
        return f"position {difference.key}, ticket {difference.ticket_id or '-'}{why}"
    return f"ticket {difference.key}{why}"
