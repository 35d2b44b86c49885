"""The parts of the OpenAPI document that FastAPI cannot know: scopes, examples, headers,
problems."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from json import dumps, loads
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from api.http.errors import problems
from api.http.openapi.audit_examples import AUDIT_EXAMPLES
from api.http.openapi.example import Example
from api.http.openapi.headers import headers
from api.http.openapi.problem_examples import true_of
from api.http.openapi.projection_examples import PROJECTION_EXAMPLES
from api.http.openapi.ticket_examples import TICKET_EXAMPLES
from api.http.request.callers import SECURITY, Requires

EXAMPLES: Final[Mapping[str, Example]] = {
    **TICKET_EXAMPLES,
    **AUDIT_EXAMPLES,
    **PROJECTION_EXAMPLES,
}
"""By route, like `GET /v1/tickets`."""

_PUBLISHED: Final = {
    "JobBody": "OperationBody",
    "JobModel": "OperationModel",
    "JobPage": "OperationPage",
    "TicketDiffModel": "DifferenceModel",
    "TicketDiffPageModel": "DifferencePageModel",
    "TicketGrantsModel": "GrantingModel",
    "GrantsPageModel": "GrantingPageModel",
}
"""The name of a schema where its class has another: clients are generated from the document, so it
keeps the names that it was published with."""

_SCHEMA: Final = "#/components/schemas/"

_CONDITIONAL: Final = ("PATCH", "DELETE")
"""Methods that are refused without If-Match."""


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Complete the OpenAPI document of `app`, once all the routes of `routers` are there."""
    generate: Callable[[], dict[str, Any]] = app.openapi
    scopes, declared = scopes_of(routers), routes_of(routers)

    @cache
    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document["components"]["schemas"]
        # FastAPI's own shape of validation errors, which is never sent
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        schemas.update(problems.schemas())
        document["components"]["securitySchemes"] = {"bearer": SECURITY}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                route = f"{method.upper()} {path}"
                _complete(route, operation, scopes.get(route))
                if route in scopes:
                    _tell_problems(route, operation, declared[route], scopes[route])
        return _with_published_names(document)

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to change it


def routes_of(routers: Sequence[APIRouter]) -> Mapping[str, APIRoute]:
    """Every route by its name here, like `GET /v1/tickets`."""
    return {
        f"{method} {route.path}": route
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }


def scopes_of(routers: Sequence[APIRouter]) -> Mapping[str, str]:
    """Each route that asks who calls, with the scope it requires."""
    return {
        name: dependency.call.scope
        for name, route in routes_of(routers).items()
        for dependency in route.dependant.dependencies
        if isinstance(dependency.call, Requires)
    }


def _with_published_names(document: dict[str, Any]) -> dict[str, Any]:
    text = dumps(document)
    for name, published in _PUBLISHED.items():
        text = text.replace(f'"{_SCHEMA}{name}"', f'"{_SCHEMA}{published}"')
    renamed: dict[str, Any] = loads(text)
    schemas = renamed["components"]["schemas"]
    for name, published in _PUBLISHED.items():
        schemas[published] = schemas.pop(name) | {"title": published}
    return renamed


def _complete(route: str, operation: dict[str, Any], scope: str | None) -> None:
    responses = operation["responses"]
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
    if scope is not None:
        operation["security"] = [{"bearer": [scope]}]
        description = operation.get("description", "")
        operation["description"] = f"{description}\n\nRequires the scope `{scope}`.".lstrip()
    example = EXAMPLES.get(route, Example())
    for parameter in operation.get("parameters", ()):
        _complete_parameter(route, parameter, example)
    if example.body is not None:
        operation["requestBody"]["content"]["application/json"]["example"] = example.body
    for status, response in responses.items():
        response["headers"] = headers(route, status)
        if status.startswith("2") and example.answer is not None:
            media_type = "text/plain" if route == "GET /metrics" else "application/json"
            media_type = "application/x-ndjson" if route == "GET /v1/audit/export" else media_type
            response["content"][media_type]["example"] = example.answer


def _tell_problems(route: str, operation: dict[str, Any], declared: APIRoute, scope: str) -> None:
    """Make the examples of problems true of the route."""
    for response in operation["responses"].values():
        content = response.get("content", {}).get(problems.MEDIA_TYPE)
        if content:
            examples = content["examples"]
            general = {code: shown["value"] for code, shown in examples.items()}
            for code, value in true_of(route, declared, scope, general).items():
                examples[code] = {**examples[code], "value": value}


def _complete_parameter(route: str, parameter: dict[str, Any], example: Example) -> None:
    schema = parameter["schema"] = _sendable(parameter["schema"])
    if parameter["name"] in example.parameters and parameter["in"] != "header":
        parameter["example"] = example.parameters[parameter["name"]]
    if parameter["name"] == "If-Match" and route.partition(" ")[0] in _CONDITIONAL:
        parameter["required"] = True
        parameter["example"] = '"1"'
    schema.pop("title", None)


def _sendable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter without null: a parameter is left out, or has a value."""
    match schema:
        case {"anyOf": [kind, {"type": "null"}], **rest}:
            return {**kind, **rest}
        case _:
            return schema
