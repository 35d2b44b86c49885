"""Whether the service lives, whether it is fit to serve, and its figures for Prometheus."""

from collections.abc import Callable, Iterable, Sequence

from anyio import to_thread
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import Response

from api.composition import Service
from api.http.callers import service_of
from api.http.projections import statuses
from domain.errors import TicketbookError
from projections.operations import ProjectionStatus

router = APIRouter(tags=["Health"])


class HealthModel(BaseModel):
    status: str


class ProjectionHealth(BaseModel):
    name: str
    state: str
    lagEvents: int
    lagSeconds: float
    parked: int


class ReadinessModel(BaseModel):
    """`degraded` still serves: a ticket is parked, or the changed catalogue file is refused."""

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
    readiness = await to_thread.run_sync(_readiness, service_of(request))
    code = 503 if readiness.status == "unready" else 200
    return Response(to_json(readiness), code, media_type="application/json")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Figures in Prometheus' text format."""
    registry: CollectorRegistry = request.app.state.registry
    body = await to_thread.run_sync(generate_latest, registry)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


def _readiness(service: Service) -> ReadinessModel:
    problems: list[str] = []
    try:
        found = statuses(service)
    except TicketbookError as error:
        return ReadinessModel(status="unready", projections=[], problems=[str(error)])
    for status in found:
        runner = service.projections[status.name].runner
        if status.state == "down":
            why = (runner and runner.problem) or "no runner holds its lease"
            problems.append(f"Projection {status.name} is down: {why}.")
        if status.parked:
            problems.append(
                f"Projection {status.name} has {len(status.parked)} parked ticket(s): "
                f"see ticketbook projections status."
            )
    if service.catalogue.problem:
        problems.append(f"The catalogue in force is an old one: {service.catalogue.problem}")
    down = any(status.state == "down" for status in found)
    status_ = "unready" if down else "degraded" if problems else "ready"
    return ReadinessModel(
        status=status_, projections=[_health(one) for one in found], problems=problems
    )


def _health(status: ProjectionStatus) -> ProjectionHealth:
    return ProjectionHealth(
        name=status.name,
        state=status.state,
        lagEvents=status.lag_events,
        lagSeconds=round(status.lag_seconds, 3),
        parked=len(status.parked),
    )


class ServiceCollector(Collector):
    """Figures that are read from the store when somebody asks for them."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing to ask the store before the first scrape

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("ticketbook_store_up", "1 when the store answers.")
        try:
            found = statuses(self._service)
        except TicketbookError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield GaugeMetricFamily(
            "ticketbook_log_head", "Position of the last event.", value=found[0].head
        )
        yield from _gauges(found)


def _gauges(found: Sequence[ProjectionStatus]) -> Iterable[Metric]:
    gauges: dict[str, tuple[str, Callable[[ProjectionStatus], float]]] = {
        "position": ("Position of the last event applied.", lambda s: s.position),
        "lag_events": ("Events not applied yet.", lambda s: s.lag_events),
        "lag_seconds": ("Age of the oldest event not applied yet.", lambda s: s.lag_seconds),
        "parked_tickets": ("Tickets that wait for an operator.", lambda s: len(s.parked)),
        "up": ("1 when a live runner holds the lease.", lambda s: s.state != "down"),
    }
    for name, (meaning, value) in gauges.items():
        gauge = GaugeMetricFamily(f"ticketbook_projection_{name}", meaning, labels=["projection"])
        for status in found:
            gauge.add_metric([status.name], value(status))
        yield gauge
