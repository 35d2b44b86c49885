"""Web pages of other origins: those of the setting may call `/v1`, and nobody else; and `/`."""

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from api.http.middleware.cross_origin import EXPOSED, METHODS, SENT
from tests.support.server import TICKET, Served, refused, serving

PAGE: Final = "https://planner.example.org"
OTHER: Final = "https://elsewhere.example.org"
BROWSER: Final = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service on SQLite: no store is asked about origins."""
    folder = tmp_path_factory.mktemp("origins")
    origins = f"{PAGE}, http://localhost:3000"
    with serving(f"sqlite:///{folder}/store.db", TICKETBOOK_CORS_ORIGINS=origins) as served:
        yield served


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The same without the setting."""
    with serving(f"sqlite:///{tmp_path_factory.mktemp('closed')}/store.db") as served:
        yield served


def preflight(url: str, origin: str, path: str = "/v1/tickets", **wanted: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": wanted.get("method", "POST"),
        "Access-Control-Request-Headers": wanted.get("headers", "authorization, content-type"),
    }
    return httpx.options(f"{url}{path}", headers=headers)


def shared(answer: httpx.Response) -> list[str]:
    return [name for name in answer.headers if name.startswith("access-control-")]


def names(text: str) -> set[str]:
    return {name.strip().lower() for name in text.split(",")}


def test_a_page_of_the_setting_may_ask_before_it_calls(running: Served) -> None:
    every = ", ".join(SENT).lower()
    for method in METHODS:
        answer = preflight(running.url, PAGE, method=method, headers=every)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert method in answer.headers["Access-Control-Allow-Methods"]
        assert names(every) <= names(answer.headers["Access-Control-Allow-Headers"])
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_page_of_the_setting_reads_answers_and_their_headers(running: Served) -> None:
    client = running.client()
    answer = client.post("/v1/tickets", json=TICKET, headers={"Origin": PAGE})

    assert answer.status_code == 201
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    exposed = names(answer.headers["Access-Control-Expose-Headers"])
    assert {"etag", "event-position", "location", "x-request-id"} <= exposed
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_page_of_the_setting_reads_every_refusal(running: Served) -> None:
    headers = {"Origin": PAGE}
    client = running.client()
    large = client.post("/v1/tickets", content=b" " * 2_000_000, headers=headers)
    refused(large, 413, "body-too-large")
    nobody = httpx.get(f"{running.url}/v1/tickets", headers=headers)
    refused(nobody, 401, "token-missing")
    for answer in (large, nobody, client.get("/v1/nothing", headers=headers)):
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize("origin", [OTHER, f"{PAGE}.evil.org", "https://example.org", "null"])
def test_a_page_of_another_origin_is_not_let_in(running: Served, origin: str) -> None:
    asked = preflight(running.url, origin)
    refused(asked, 405, "method-not-allowed")
    answer = running.client().get("/v1/tickets", headers={"Origin": origin})
    assert shared(asked) == shared(answer) == []


def test_only_v1_is_shared(running: Served) -> None:
    for path in ("/healthz", "/metrics", "/docs", "/"):
        assert shared(httpx.get(f"{running.url}{path}", headers={"Origin": PAGE})) == []


def test_without_the_setting_no_page_is_let_in(closed: Served) -> None:
    asked = preflight(closed.url, PAGE)
    refused(asked, 405, "method-not-allowed")
    answer = closed.client().get("/v1/tickets", headers={"Origin": PAGE})
    assert shared(asked) == shared(answer) == []


def test_a_page_may_read_and_send_every_header_that_the_document_names(closed: Served) -> None:
    document: dict[str, Any] = httpx.get(f"{closed.url}/openapi.json").json()
    sent, answered = set[str](), set[str]()
    for path, operations in document["paths"].items():
        if not path.startswith("/v1/"):
            continue
        for operation in operations.values():
            parameters = operation.get("parameters", ())
            sent |= {one["name"].lower() for one in parameters if one["in"] == "header"}
            for response in operation["responses"].values():
                answered |= {name.lower() for name in response["headers"]}
    assert sent <= names(",".join(SENT))
    assert answered <= names(",".join(EXPOSED))


def test_the_root_leads_a_browser_to_the_documentation(closed: Served) -> None:
    answer = httpx.get(f"{closed.url}/", headers=BROWSER)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/docs")
    assert answer.headers["Vary"] == "Accept"


def test_the_root_tells_a_program_addresses_that_exist(closed: Served) -> None:
    answer = httpx.get(f"{closed.url}/")
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert set(body) == {"name", "version", "links"}
    for address in body["links"].values():
        assert httpx.get(f"{closed.url}{address}").status_code == 200
