"""Whether the service lives, whether it is fit to serve, and its figures for Prometheus."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog
from anyio import fail_after, to_thread
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import Response

from api.http.request.callers import service_of
from api.use_cases.projections import statuses as read_statuses
from api.use_cases.service import Service
from domain.errors import LegacyUsersUnavailable, StoreUnavailable
from projections.versions.status import ProjectionStatus, VersionStatus

router = APIRouter(tags=["Health"])

PATIENCE: Final = 5.0
"""Seconds the store has to answer. It may be silent for much longer, and health cannot wait."""

_log = structlog.get_logger(__name__)


class HealthModel(BaseModel):
    status: str


class VersionHealth(BaseModel):
    version: int
    role: str
    state: str
    position: int
    lagEvents: int
    lagSeconds: float
    parked: int
    progress: float | None


class ProjectionHealth(BaseModel):
    """The live version, which alone decides; and every version."""

    name: str
    state: str
    head: int
    lagEvents: int
    lagSeconds: float
    parked: int
    versions: list[VersionHealth]


class ReadinessModel(BaseModel):
    """`degraded` still serves: a ticket is parked, the changed catalogue file is refused, or the
    users of the old system cannot be looked up, which concerns its callers alone."""

    status: str
    projections: list[ProjectionHealth]
    problems: list[str]


@router.get("/healthz")
async def healthz() -> HealthModel:
    """The process answers."""
    return HealthModel(status="ok")


@router.get(
    "/readyz",
    response_model=ReadinessModel,
    responses={503: {"model": ReadinessModel, "description": "Not fit to serve"}},
)
async def readyz(request: Request) -> Response:
    """Whether the store answers and every projection has a live runner."""
    service = service_of(request)
    try:
        statuses, users = await asyncio.gather(_statuses(service), _legacy_users(service))
        readiness = _readiness(service, statuses, users)
    except Exception as error:  # whatever it is: health itself must not fail
        _log.error("readiness.failed", problem=f"{type(error).__name__}: {error}")
        problem = "The store does not answer as it should: the log says why."
        readiness = ReadinessModel(status="unready", projections=[], problems=[problem])
    code = 503 if readiness.status == "unready" else 200
    return Response(to_json(readiness), code, media_type="application/json")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Figures in Prometheus' text format."""
    registry: CollectorRegistry = request.app.state.registry
    try:
        statuses = await _statuses(service_of(request))
    except Exception as error:
        _log.error("metrics.failed", problem=f"{type(error).__name__}: {error}")
        statuses = ()
    body = generate_latest(registry) + generate_latest(_Figures(statuses))
    return Response(body, media_type=CONTENT_TYPE_LATEST)


async def _statuses(service: Service) -> Sequence[ProjectionStatus]:
    """Read from the store. Raises `StoreUnavailable` in bounded time."""
    try:
        with fail_after(PATIENCE):
            return await to_thread.run_sync(read_statuses, service, abandon_on_cancel=True)
    except TimeoutError:
        raise StoreUnavailable(f"The store does not answer within {PATIENCE:.0f} s.") from None


async def _legacy_users(service: Service) -> str | None:
    """The problem that keeps the old system's users from being looked up, or None."""
    if service.legacy is None:
        return None
    try:
        with fail_after(PATIENCE):
            await to_thread.run_sync(service.legacy.users.check, abandon_on_cancel=True)
    except (LegacyUsersUnavailable, TimeoutError):
        return "The legacy user database does not answer: old clients get 503."
    return None


def _readiness(
    service: Service, statuses: Sequence[ProjectionStatus], users: str | None
) -> ReadinessModel:
    service.catalogue.current()  # looks at the file
    problems: list[str] = [users] if users else []
    down = False
    for status in statuses:
        live, runner = status.live_version, service.projections[status.name].live_version.runner
        failing = runner and runner.problem
        if live.state == "down" or failing:
            down = True
            why = "the log says why" if failing else "no runner holds its lease"
            if failing:
                _log.error("projection.down", projection=status.name, problem=failing)
            problems.append(f"Projection {status.name} is down: {why}.")
        if unpublished := service.projections[status.name].unpublished:
            _log.warning("view.unpublished", projection=status.name, problem=unpublished)
            problems.append(
                f"Other services may find an old version of {status.name} in the store: the log "
                "says why."
            )
        if live.parked:
            problems.append(
                f"Projection {status.name} has {len(live.parked)} parked ticket(s): "
                f"see ticketbook projections status."
            )
    if service.catalogue.problem:
        problems.append(f"The catalogue in force is an old one: {service.catalogue.problem}")
    status_ = "unready" if down else "degraded" if problems else "ready"
    return ReadinessModel(
        status=status_, projections=[_health(status) for status in statuses], problems=problems
    )


def _health(status: ProjectionStatus) -> ProjectionHealth:
    live = status.live_version
    return ProjectionHealth(
        name=status.name,
        state=live.state,
        head=live.head,
        lagEvents=live.lag_events,
        lagSeconds=round(live.lag_seconds, 3),
        parked=len(live.parked),
        versions=[_version(version) for version in status.versions],
    )


def _version(status: VersionStatus) -> VersionHealth:
    return VersionHealth(
        version=status.version,
        role=status.role,
        state=status.state,
        position=status.position,
        lagEvents=status.lag_events,
        lagSeconds=round(status.lag_seconds, 3),
        parked=len(status.parked),
        progress=status.progress,
    )


class _Figures(Collector):
    """The figures from the store; none when it does not answer."""

    def __init__(self, statuses: Sequence[ProjectionStatus]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "ticketbook_store_up", "1 when the store answers.", value=1 if self._statuses else 0
        )
        if self._statuses:
            head = max(status.live_version.head for status in self._statuses)
            yield GaugeMetricFamily("ticketbook_log_head", "Position of the last event.", head)
            yield from _gauges(self._statuses)


_LIVE: Final[dict[str, tuple[str, Callable[[VersionStatus], float]]]] = {
    "position": ("Position of the last event applied.", lambda s: s.position),
    "lag_events": ("Events not applied yet.", lambda s: s.lag_events),
    "lag_seconds": ("Age of the oldest event not applied yet.", lambda s: s.lag_seconds),
    "parked_tickets": ("Tickets that wait for an operator.", lambda s: len(s.parked)),
    "up": ("1 when a live runner holds the lease.", lambda s: s.state != "down"),
}
"""Figures of a projection, which are those of its live version."""

_EVERY: Final[dict[str, tuple[str, Callable[[VersionStatus], float]]]] = {
    **_LIVE,
    "up": ("1 when somebody keeps or builds it.", lambda s: s.state not in ("down", "stopped")),
    "progress": ("How much is built, from 0 to 1.", lambda s: s.progress or float(not s.build)),
}
"""Figures of each version."""


def _gauges(statuses: Sequence[ProjectionStatus]) -> Iterable[Metric]:
    for name, (meaning, value) in _LIVE.items():
        gauge = GaugeMetricFamily(f"ticketbook_projection_{name}", meaning, labels=["projection"])
        for status in statuses:
            gauge.add_metric([status.name], value(status.live_version))
        yield gauge
    labels = ["projection", "version", "role"]
    for name, (meaning, value) in _EVERY.items():
        gauge = GaugeMetricFamily(f"ticketbook_projection_version_{name}", meaning, labels=labels)
        for status in statuses:
            for version in status.versions:
                labelled = [status.name, str(version.version), version.role]
                gauge.add_metric(labelled, value(version))
        yield gauge
