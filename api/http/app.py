"""The ASGI application over one open service."""

from importlib.metadata import version
from typing import Final

from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry

from api.http.connections.pool import Connections
from api.http.errors import failures, pages, problems
from api.http.limits import ConnectionLimits
from api.http.middleware.cross_origin import CrossOrigin
from api.http.middleware.envelope import Envelope
from api.http.middleware.express import Express
from api.http.middleware.head import HeadAsGet
from api.http.openapi import document
from api.http.openapi.overview import OVERVIEW
from api.http.request.callers import VERIFYING
from api.http.routes import (
    audit,
    diff,
    export,
    grants,
    health,
    history,
    jobs,
    projections,
    root,
    systems,
    ticket_batch,
    ticket_list,
    tickets,
)
from api.legacy import routes, sockets
from api.legacy.tickets import LegacyTickets
from api.use_cases.service import Service
from api.use_cases.submission import Submitter

ROUTERS: Final = (
    ticket_batch.router,  # before those of one ticket: its address looks like an id
    ticket_list.router,
    tickets.router,
    history.router,
    systems.router,
    audit.router,
    grants.router,
    diff.router,
    export.router,
    projections.router,
    jobs.router,
    health.router,
)
"""The routes that the OpenAPI document lists, in its order."""


def create_app(
    service: Service, limits: ConnectionLimits | None = None, *, access_log: bool = False
) -> FastAPI:
    """The application. The service must stay open for as long as it serves. `limits` are those of
    its connections."""
    app = FastAPIOffline(  # its documentation page loads nothing from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # one address per thing; a redirect would go to a made-up host
        title="Ticketbook",
        version=version("ticketbook"),
        description=OVERVIEW,
        responses=problems.documented(*problems.ANY),
    )
    registry = CollectorRegistry()
    app.state.service = service
    app.state.submitter = Submitter(service)
    app.state.verifying = CapacityLimiter(VERIFYING)
    app.state.fetching = CapacityLimiter(VERIFYING)
    app.state.looking = CapacityLimiter(health.LOOKING)
    app.state.registry = registry
    app.state.connections = Connections(limits or ConnectionLimits(), registry)
    app.add_middleware(Express)
    shapes = {routes.PREFIX: routes.refusals(service.settings)} if service.legacy else {}
    app.add_middleware(
        Envelope, registry=registry, shapes=shapes, access_log=access_log
    )  # around the others
    if service.settings.cors_origins:  # around that: a page must be able to read its refusals
        app.add_middleware(CrossOrigin, origins=service.settings.cors_origins)
    app.add_middleware(HeadAsGet, beside=(sockets.PATH,))  # added last: around everything
    failures.install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(pages.router)
    app.include_router(root.router)
    if service.legacy:
        legacy_tickets = LegacyTickets(service, service.legacy, app.state.submitter, registry)
        app.router.routes.append(
            routes.mounted(routes.application(legacy_tickets, service.settings))
        )
        app.state.polls = sockets.application(legacy_tickets, service.settings)
        app.mount(sockets.PATH, app.state.polls)
    document.install(app, ROUTERS)
    return app
