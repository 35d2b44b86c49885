"""Whether the service lives, whether it is fit to serve, and its figures for Prometheus."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import structlog
from anyio import CapacityLimiter, fail_after, move_on_after, to_thread
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import Response

from api.http.request.callers import recognise, service_of
from api.use_cases.health import Health, look, unhealthy
from api.use_cases.projections import statuses as read_statuses
from api.use_cases.service import Service
from domain.errors import StoreUnavailable, TicketbookError
from infrastructure.keys.credentials import CredentialError
from projections.versions.status import ProjectionStatus, VersionStatus

router = APIRouter(tags=["Health"])

PATIENCE: Final = 5.0
"""Seconds the store has to answer. It may be silent for much longer, and health cannot wait."""

LOOKING: Final = 8
"""Looks at the store at once. A store that is silent must not fill the threads of everybody
else."""

OPERATE: Final = "projections:operate"
"""The scope of callers that are told all."""

Answer = TypeVar("Answer")

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
    """`degraded` still serves: `problems` says what to look at. Only callers with the scope
    `projections:operate` are told more than `status`."""

    status: str
    projections: list[ProjectionHealth] = []
    problems: list[str] = []


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
    """Whether this process is fit to serve, by all that it vouches for: store, runners, lag,
    clocks, catalogue, issuer, descriptors and disk. A token with the scope `projections:operate`
    is told why."""
    health = await _look(request)
    readiness = ReadinessModel(status=health.level)
    if await _operates(request):
        readiness.projections = [_health(status) for status in health.projections]
        readiness.problems = [problem.sentence for problem in health.problems]
    code = 503 if health.level == "unready" else 200
    body = to_json(readiness.model_dump(exclude_unset=True))
    return Response(body, code, media_type="application/json")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Figures in Prometheus' text format. A token with the scope `projections:operate` is told
    all of them, others only whether store and projections are up."""
    registry: CollectorRegistry = request.app.state.registry
    operates = await _operates(request)
    try:
        statuses = await _in_time(request, read_statuses)
    except Exception as error:  # whatever it is: health itself must not fail
        _log.error("metrics.failed", problem=f"{type(error).__name__}: {error}")
        statuses = ()
    body = generate_latest(_Figures(statuses, every=operates))
    if operates:
        body = generate_latest(registry) + body
    return Response(body, media_type=CONTENT_TYPE_LATEST)


async def _look(request: Request) -> Health:
    try:
        health = await _in_time(request, look)
        full = request.app.state.connections.problem
        return health.with_problem(full) if full else health
    except Exception as error:  # whatever it is: health itself must not fail
        _log.error("readiness.failed", problem=f"{type(error).__name__}: {error}")
        if isinstance(error, TicketbookError):
            return unhealthy(str(error))
        return unhealthy("The service cannot be looked at: the log says why.")


async def _in_time(request: Request, ask: Callable[[Service], Answer]) -> Answer:
    """The answer of store and files, off the event loop and in bounded time. Raises
    `StoreUnavailable`."""
    limiter: CapacityLimiter = request.app.state.looking
    try:
        with fail_after(PATIENCE):
            return await to_thread.run_sync(
                ask, service_of(request), abandon_on_cancel=True, limiter=limiter
            )
    except TimeoutError:
        raise StoreUnavailable(f"The store does not answer within {PATIENCE:.0f} s.") from None


async def _operates(request: Request) -> bool:
    """True for callers that may be told more than the state. Others get no error: load balancers
    send no token, or somebody else's."""
    with suppress(CredentialError), move_on_after(PATIENCE):
        return OPERATE in (await recognise(request)).scopes
    return False


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
    """The figures from the store; none when it does not answer. Unless `every`, only what is up."""

    def __init__(self, statuses: Sequence[ProjectionStatus], *, every: bool) -> None:
        self._statuses = statuses
        self._every = every

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "ticketbook_store_up", "1 when the store answers.", value=1 if self._statuses else 0
        )
        if self._statuses and not self._every:
            yield _gauge("up", self._statuses)
        elif self._statuses:
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
    for name in _LIVE:
        yield _gauge(name, statuses)
    labels = ["projection", "version", "role"]
    for name, (meaning, value) in _EVERY.items():
        gauge = GaugeMetricFamily(f"ticketbook_projection_version_{name}", meaning, labels=labels)
        for status in statuses:
            for version in status.versions:
                labelled = [status.name, str(version.version), version.role]
                gauge.add_metric(labelled, value(version))
        yield gauge


def _gauge(name: str, statuses: Sequence[ProjectionStatus]) -> Metric:
    """One figure of the live version of every projection."""
    meaning, value = _LIVE[name]
    gauge = GaugeMetricFamily(f"ticketbook_projection_{name}", meaning, labels=["projection"])
    for status in statuses:
        gauge.add_metric([status.name], value(status.live_version))
    return gauge
