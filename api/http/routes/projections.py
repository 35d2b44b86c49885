"""`/v1/projections`: how the views stand, for operators."""

from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Path
from pydantic_core import to_json
from starlette.responses import Response

from api.http.errors.problems import CALLER, STORE, Problem, documented
from api.http.request.bodies import BodyRoute
from api.http.request.callers import Operating
from api.http.request.reading import record
from api.use_cases.projections import statuses
from api.use_cases.service import Service
from api.wire.fields import ID_PATTERN
from api.wire.projections import ProjectionList, ProjectionModel, SkipBody, status_json
from infrastructure.ids import holder
from projections.versions.followed import LiveProjection
from projections.versions.parked import retry_everywhere, skip
from projections.versions.status import status

_PARKED: Final = (
    *CALLER,
    "not-found",
    "ticket-not-parked",
    "projection-taken-over",
    *STORE,
)

router = APIRouter(prefix="/v1/projections", tags=["Projections"], route_class=BodyRoute)


@router.get("", response_model=ProjectionList, responses=documented(*CALLER, *STORE))
async def list_projections(call: Operating) -> Response:
    """Every projection against the head of the log, read afresh."""
    every = await to_thread.run_sync(statuses, call.service)
    return _json({"items": [status_json(projection) for projection in every]})


@router.get(
    "/{name}",
    response_model=ProjectionModel,
    responses=documented(*CALLER, "not-found", *STORE),
)
async def get_projection(call: Operating, name: str) -> Response:
    """One projection."""
    projection = named(call.service, name)
    return _json(status_json(await to_thread.run_sync(status, projection)))


@router.post(
    "/{name}/parked/{ticket_id}/retry",
    response_model=ProjectionModel,
    responses=documented(*_PARKED),
)
async def retry_parked(
    call: Operating,
    name: str,
    ticket_id: Annotated[str, Path(pattern=ID_PATTERN)],
) -> Response:
    """Apply the waiting events of a parked ticket. If one fails again, the ticket stays parked."""
    projection = named(call.service, name)
    await record(call, "projection.ticket_retried")
    await to_thread.run_sync(retry_everywhere, projection, ticket_id, holder())
    return _json(status_json(await to_thread.run_sync(status, projection)))


@router.post(
    "/{name}/parked/{ticket_id}/skip",
    response_model=ProjectionModel,
    responses=documented(*_PARKED, "invalid-body", "malformed-json", "unsupported-media-type"),
)
async def skip_parked(
    call: Operating,
    name: str,
    ticket_id: Annotated[str, Path(pattern=ID_PATTERN)],
    body: SkipBody,
) -> Response:
    """Pass over the event at which a ticket is parked, for good: in every version, in later
    rebuilds, and in verifications. The later events of the ticket are applied."""
    projection = named(call.service, name)
    await record(call, "projection.event_skipped", {"reason": body.reason})
    actor, clock = call.caller.subject, call.service.clock
    await to_thread.run_sync(skip, projection, ticket_id, actor, body.reason, holder(), clock)
    return _json(status_json(await to_thread.run_sync(status, projection)))


def named(service: Service, name: str) -> LiveProjection[Any]:
    projection = service.projections.get(name)
    if projection is None:
        known = ", ".join(service.projections)
        raise Problem("not-found", f"There is no projection {name!r}. There are: {known}.")
    return projection


def _json(body: dict[str, Any]) -> Response:
    return Response(to_json(body), media_type="application/json")
