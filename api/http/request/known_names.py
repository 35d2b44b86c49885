"""Filters by a name that nobody knows are a problem, not an empty answer."""

from api.http.errors.problems import Problem
from api.http.request.callers import Call
from api.http.request.reading import read
from api.use_cases.known_names import doubtful_names, unknown_names
from domain.errors import Fault


async def refuse_unknown_names(
    call: Call,
    org_id: str | None,
    position: int | None = None,
    *,
    system: str | None = None,
    action: str | None = None,
    **features: str | None,
) -> None:
    """Raises a `Problem` when a filter names what neither the catalogue knows nor the log of the
    organisation, as it is at `position` or later."""
    catalogue = call.service.catalogue.current()
    doubtful = doubtful_names(catalogue, org_id, system=system, action=action, **features)
    if not doubtful:
        return
    audit = call.service.audit
    unknown = await read(call, audit, position, lambda view: unknown_names(view, doubtful))
    if unknown:
        faults = [
            Fault(f"/query/{each.parameter}", f"unknown-{each.noun}", each.detail)
            for each in unknown
        ]
        raise Problem("invalid-parameter", faults[0].detail, faults)
