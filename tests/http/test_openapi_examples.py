"""The document's examples are real: what is shown is accepted, and answered as is shown; the scope
and the headers of every route are those that it says."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest
from pydantic import TypeAdapter

from api import composition
from api.http.app import ROUTERS
from api.http.openapi.document import EXAMPLES, routes_of, scopes_of
from api.http.openapi.ticket_examples import TICKET_ID
from api.use_cases import freshness
from domain.ticket.events import Recorded
from domain.ticket.state import Ticket
from infrastructure.keys.claims import SCOPES
from projections.tickets.projection import TICKETS
from tests.support.server import Client, Served, refused, seen, serving, until

Document = dict[str, Any]

SENT_BY_EVERY_SERVER: Final = {
    "content-length",
    "content-type",
    "date",
    "transfer-encoding",
    "vary",
}
ORDER: Final = (
    "retry",
    "skip",
    "verify",
    "rebuild",
    "rollback",
    "drop-old",
    "pause",
    "throttle",
    "resume",
    "cancel",
)
"""Each of these leaves what the next one needs."""


@pytest.fixture(scope="module")
def poisoned() -> set[str]:
    """Names of tickets that the view of tickets cannot show."""
    return {"poison"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, poisoned: set[str]) -> Iterator[Served]:
    """A service on SQLite: the document is the same on every store."""

    def project(ticket: Ticket | None, recorded: Recorded) -> Ticket | None:
        found = TICKETS.project(ticket, recorded)
        if found and found.name in poisoned:
            raise ValueError("I cannot read this")
        return found

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(composition, "TICKETS", replace(TICKETS, project=project))
        with serving(f"sqlite:///{tmp_path_factory.mktemp('examples')}/store.db") as served:
            yield served


@pytest.fixture(scope="module")
def document(running: Served) -> Document:
    document: Document = httpx.get(f"{running.url}/openapi.json").json()
    return document


def operations(document: Document) -> dict[str, Document]:
    """Every operation by route, like `GET /v1/tickets`."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_body_and_every_answer_has_an_example(document: Document) -> None:
    missing = []
    for route, operation in operations(document).items():
        contents = {"body": operation.get("requestBody", {}).get("content", {})}
        for status, answer in operation["responses"].items():
            contents[status] = answer.get("content", {})
        for where, content in contents.items():
            shown = [one for one in content.values() if "example" in one or "examples" in one]
            if content and not shown:
                missing.append(f"{route} {where}")
    assert missing == ["GET /readyz 503"]  # the same as 200, with another status


def test_schemas_keep_the_names_that_clients_were_generated_from(document: Document) -> None:
    schemas = document["components"]["schemas"]
    published = (
        "AuditEntryModel AuditPage BuildModel CauseModel ChangeTicketBody ContentModel "
        "CreateTicketBody DifferenceModel DifferencePageModel FaultModel "
        "FeatureChangeModel FeatureModel GrantModel GrantingModel GrantingPageModel "
        "HeadModel HealthModel JournalEntryModel JournalPage LeaseModel OperationBody "
        "OperationModel OperationPage ParkedModel ProblemModel ProjectionHealth "
        "ProjectionList ProjectionModel ReadinessModel RebuildBody RestoreTicketBody "
        "SkipBody SkippedModel SystemList SystemModel ThrottleBody TicketModel TicketPage "
        "TicketThenModel VerifyBody VersionHealth VersionModel"
    )
    assert set(published.split()) <= set(schemas)
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert references <= set(schemas)
    assert {name for name, schema in schemas.items() if schema.get("title", name) != name} == set()


def test_the_overview_explains_every_convention_that_routes_share(document: Document) -> None:
    overview = document["info"]["description"]
    shared = {"Authorization", "ETag", "Event-Position", "Idempotent-Replayed", "Link"}
    for operation in operations(document).values():
        parameters = operation.get("parameters", ())
        shared |= {one["name"] for one in parameters if one["in"] == "header"}
    shared |= {"limit", "cursor", "next", "org", "scope", "/problems", "Retry-After"}
    assert [name for name in sorted(shared) if name not in overview] == []


def test_every_list_says_its_order_and_how_its_pages_go_on(document: Document) -> None:
    pages = 0
    for route, operation in operations(document).items():
        parameters = {one["name"]: one for one in operation.get("parameters", ())}
        if "cursor" not in parameters:
            continue
        pages += 1
        order = r"by id|newest first|oldest first|in the order of"
        assert re.search(order, operation["description"]), route
        limit = parameters["limit"]
        assert (limit["schema"]["default"], limit["schema"]["maximum"]) == (50, 1_000), route
        assert "1 to 1,000" in limit["description"], route
        assert "`next`" in parameters["cursor"]["description"], route
    assert pages >= 7


def test_no_example_is_left_over(document: Document) -> None:
    assert set(EXAMPLES) <= set(operations(document))


def test_every_example_of_an_answer_has_the_shape_of_its_model() -> None:
    routes = {name: one for name, one in routes_of(ROUTERS).items() if one.response_model}
    assert len(routes) >= 29
    for name, route in routes.items():
        model: TypeAdapter[Any] = TypeAdapter(route.response_model)
        answer = EXAMPLES[name].answer
        read = model.validate_python(answer)
        again = model.dump_python(read, mode="json", by_alias=True, exclude_unset=True)
        assert again == answer, name  # no field more, none of another type


def test_every_route_says_which_scope_it_requires(document: Document) -> None:
    required = scopes_of(ROUTERS)
    assert set(required.values()) == {one for one in SCOPES if one != "migrate"}
    for route, operation in operations(document).items():
        scope = required.get(route)
        assert operation.get("security") == (scope and [{"bearer": [scope]}]), route
        assert (f"`{scope}`" in operation.get("description", "")) == (scope is not None), route


def test_no_route_is_open_without_the_scope_it_names(running: Served) -> None:
    required = scopes_of(ROUTERS)
    assert len(required) >= 29
    for scope in sorted(set(required.values())):
        without = running.client(scope=" ".join(one for one in SCOPES if one != scope))
        for route in (one for one, needed in required.items() if needed == scope):
            method, path = route.split(" ")
            answer = without.request(method, filled(path), json={})
            assert scope in refused(answer, 403, "scope-missing")["detail"]
            nobody = httpx.request(method, f"{running.url}{filled(path)}")
            assert nobody.headers["WWW-Authenticate"] == "Bearer"
            refused(nobody, 401, "token-missing")


def filled(path: str) -> str:
    """The path with ids that nothing has."""
    examples = {"ticket_id": "0" * 24, "operation_id": "0" * 24, "name": "tickets", "system": "x"}
    return path.format_map(examples)


def test_every_example_that_is_sent_is_answered_as_shown(
    running: Served, document: Document, poisoned: set[str]
) -> None:
    writer, operator = running.client("52f22665a60c12d289185d95"), running.client("*")
    parked = [writer.create(name="poison") for _ in range(2)]
    last = parked[-1].headers["Event-Position"]
    until(lambda: len(operator.get("/v1/projections/tickets").json()["parked"]) == 2)
    poisoned.clear()  # whatever the cause was, it is mended
    ids = iter([answer.json()["_id"] for answer in parked])
    for route, operation in sorted(
        operations(document).items(), key=lambda item: in_order(item[0])
    ):
        client = operator if "/v1/projections" in route or "/v1/operations" in route else writer
        values = {one["name"]: one.get("example") for one in operation.get("parameters", ())}
        values["Min-Event-Position"] = last if route.startswith("GET /v1/tickets") else None
        if "parked" in route:
            values["ticket_id"] = next(ids)
        elif "ticket_id" in values:
            values["ticket_id"] = prepared(writer, route)
        if "operation_id" in values:
            values["operation_id"] = operator.get("/v1/operations").json()["items"][0]["id"]
        answer = sent(client, route, operation, values)
        assert answer.is_success, (route, answer.text)
        status = str(answer.status_code)
        assert status in operation["responses"], route
        check_headers(route, operation["responses"][status], answer)
        check_fields(route, answer)
        if answer.status_code == 202:
            finished(operator, answer)
        if route.endswith("/drop-old"):  # what follows controls a build
            begun = operator.post("/v1/projections/tickets/rebuild", json={"dryRun": True})
            finished(operator, begun)


def in_order(route: str) -> int:
    verb = route.rpartition("/")[2]
    return ORDER.index(verb) if verb in ORDER else len(ORDER)


def prepared(writer: Client, route: str) -> str:
    """A ticket that the route can do something with."""
    created = writer.post("/v1/tickets", json=EXAMPLES["POST /v1/tickets"].body)
    ticket_id: str = created.json()["_id"]
    done = created
    if route.endswith("/restore"):
        done = writer.delete(f"/v1/tickets/{ticket_id}", headers={"If-Match": "*"})
    writer.get("/v1/audit", headers=seen(done))
    writer.get("/v1/tickets", headers=seen(done))
    return ticket_id


def sent(client: Client, route: str, operation: Document, values: dict[str, Any]) -> httpx.Response:
    """The example of a route, sent."""
    method, path = route.split(" ")
    places = {one["name"]: one["in"] for one in operation.get("parameters", ())}
    given = {name: value for name, value in values.items() if value is not None}
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return client.request(
        method,
        path.format_map({name: value for name, value in given.items()}),
        params={name: value for name, value in given.items() if places.get(name) == "query"},
        headers={name: str(value) for name, value in given.items() if places.get(name) == "header"},
        json=content.get("example"),
    )


def check_headers(route: str, documented: Document, answer: httpx.Response) -> None:
    headers = {name.lower(): header for name, header in documented["headers"].items()}
    sent = set(answer.headers) - SENT_BY_EVERY_SERVER
    assert sent <= set(headers), route
    assert {name for name, header in headers.items() if header["required"]} <= sent, route


def check_fields(route: str, answer: httpx.Response) -> None:
    """The answer has the fields that the example shows."""
    example = EXAMPLES[route].answer
    if answer.headers.get("content-type") == "application/json":
        assert set(answer.json()) == set(example), route


def finished(operator: Client, started: httpx.Response) -> None:
    address = started.headers["Location"]
    until(lambda: operator.get(address).json()["state"] != "running", seconds=120)
    ended = operator.get(address).json()
    assert ended["state"] == "done", ended


def test_problems_are_what_the_document_shows_for_their_route(
    running: Served, document: Document
) -> None:
    required, one = scopes_of(ROUTERS), running.client()
    for route, operation in operations(document).items():
        if route not in required:
            continue
        method, path = route.split(" ")
        shown = {
            code: example["value"]
            for response in operation["responses"].values()
            for code, example in response.get("content", {})
            .get("application/problem+json", {})
            .get("examples", {})
            .items()
        }
        others = running.client(scope=" ".join(one for one in SCOPES if one != required[route]))
        same(others.request(method, filled(path)), shown["scope-missing"])
        (fault,) = shown["invalid-parameter"]["errors"]
        address = f"{filled(path)}?{fault['pointer'].removeprefix('/query/')}=1"
        body = EXAMPLES[route].body
        same(one.request(method, address, json=body), shown["invalid-parameter"])
        if "invalid-body" in shown:
            changed = {**(body or {}), "colour": "blue"}
            answer = one.request(method, filled(path), json=changed, headers={"If-Match": "*"})
            same(answer, shown["invalid-body"])
    missing = [
        ("GET /v1/systems/{system}", "/v1/systems/workforce"),
        ("GET /v1/operations/{operation_id}", f"/v1/operations/{TICKET_ID}"),
        ("GET /v1/projections/{name}", "/v1/projections/ticket"),
    ]
    for route, address in missing:
        responses = operations(document)[route]["responses"]
        examples = responses["404"]["content"]["application/problem+json"]["examples"]
        same(one.get(address), examples["not-found"]["value"])


def same(answer: httpx.Response, shown: Document) -> None:
    """The problem was answered as the document shows it, word for word."""
    assert answer.json() == shown, answer.request.url


def test_refusals_have_the_headers_that_the_document_names(
    running: Served, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "WAIT_SECONDS", 0.1)
    writer = running.client()
    ticket = writer.created()
    path, route = f"/v1/tickets/{ticket['_id']}", "PATCH /v1/tickets/{ticket_id}"
    responses = operations(document)[route]["responses"]
    stale = {"If-Match": '"7"', "Idempotency-Key": "stale"}
    for number in range(2):
        answer = writer.patch(path, json={"name": "Late shift"}, headers=stale)
        assert refused(answer, 412, "version-conflict")["currentVersion"] == 1
        check_headers(route, responses["412"], answer)
        assert ("Idempotent-Replayed" in answer.headers) == (number == 1)
    without = writer.patch(path, json={"name": "Late shift"})
    refused(without, 428, "precondition-required")
    check_headers(route, responses["428"], without)

    read = operations(document)["GET /v1/tickets/{ticket_id}"]["responses"]
    unchanged = writer.get(path, headers={"If-None-Match": '"1"'})
    assert unchanged.status_code == 304
    check_headers(route, read["304"], unchanged)
    gone = writer.delete(path, headers={"If-Match": '"1"'})
    answer = writer.get(path, headers=seen(gone))
    refused(answer, 410, "ticket-gone")
    check_headers(route, read["410"], answer)
    running.service.head.advance(running.head + 1)  # as if another process had just committed it
    ahead = writer.get(path, headers={"Min-Event-Position": str(running.head + 1)})
    refused(ahead, 503, "projection-behind")
    check_headers(route, read["503"], ahead)


def test_if_match_is_required_where_a_command_needs_it(document: Document) -> None:
    required = {
        route
        for route, operation in operations(document).items()
        for parameter in operation.get("parameters", ())
        if parameter["name"] == "If-Match" and parameter["required"]
    }
    assert required == {"PATCH /v1/tickets/{ticket_id}", "DELETE /v1/tickets/{ticket_id}"}
