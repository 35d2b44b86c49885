"""The ASGI application over one open service."""

from importlib.metadata import version
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry

from api.http.errors import failures, pages, problems
from api.http.middleware.envelope import Envelope
from api.http.middleware.express import Express
from api.http.request.callers import SECURITY, VERIFYING
from api.http.routes import (
    audit,
    diff,
    grants,
    health,
    projections,
    systems,
    tickets,
)
from api.http.routes import (
    export as evidence,
)
from api.http.routes import (
    jobs as operations,
)
from api.legacy import routes, sockets
from api.legacy.door import LegacyTickets
from api.use_cases.service import Service
from api.use_cases.submission import Submitter


def create_app(service: Service) -> FastAPI:
    """The application. The service must stay open for as long as it serves."""
    app = FastAPIOffline(  # its documentation page loads nothing from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # one address per thing; a redirect would go to a made-up host
        title="Ticketbook",
        version=version("ticketbook"),
        description="Tickets are bundles of permission features; every change of one is an event. "
        "A query parameter that a route under /v1 does not know is refused, not passed over.",
        responses=problems.documented("internal-error"),
    )
    registry = CollectorRegistry()
    app.state.service = service
    app.state.submitter = Submitter(service)
    app.state.verifying = CapacityLimiter(VERIFYING)
    app.state.registry = registry
    app.add_middleware(Express)
    shapes = {routes.PREFIX: routes.refusals(service.settings)} if service.legacy else {}
    app.add_middleware(Envelope, registry=registry, shapes=shapes)  # added last: around everything
    failures.install(app)
    for module in (
        tickets,
        systems,
        audit,
        grants,
        diff,
        evidence,
        projections,
        operations,
        health,
    ):
        app.include_router(module.router)
    app.include_router(pages.router)
    if service.legacy:
        door = LegacyTickets(service, service.legacy, app.state.submitter, registry)
        app.router.routes.append(routes.mounted(routes.application(door, service.settings)))
        app.state.polls = sockets.application(door, service.settings)
        app.mount(sockets.PATH, app.state.polls)
    _document(app)
    return app


def _document(app: FastAPI) -> None:
    """Leave out what is never answered, and add what FastAPI does not know."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        """FastAPI's document, less its own shape of validation errors, which is never sent."""
        document = generate()
        schemas = document["components"]["schemas"]
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        schemas.update(problems.schemas())
        document["components"]["securitySchemes"] = {"bearer": SECURITY}
        for path in document["paths"].values():
            for operation in path.values():
                if "401" in operation["responses"]:
                    operation["security"] = [{"bearer": []}]
                for parameter in operation.get("parameters", ()):
                    parameter["schema"] = _sendable(parameter["schema"])
                answer = operation["responses"].get("422", {})
                if "application/json" in answer.get("content", {}):
                    del operation["responses"]["422"]
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to change it


def _sendable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter without null: a parameter is left out, or has a value."""
    match schema:
        case {"anyOf": [kind, {"type": "null"}], **rest}:
            return {**kind, **rest}
        case _:
            return schema
