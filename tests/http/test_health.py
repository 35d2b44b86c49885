"""Health tells the truth: about the store, the runners, the lag and what is parked."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, current_thread
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Message, Receive, Scope, Send

from api import composition
from api.http.middleware.envelope import Envelope
from api.http.routes import health
from api.use_cases import freshness
from api.use_cases import health as looking
from api.use_cases.health import Health, look
from api.use_cases.projections import statuses
from api.use_cases.service import Service
from domain.ticket.events import Recorded
from domain.ticket.state import Ticket
from infrastructure import machine
from infrastructure.keys.claims import Caller
from infrastructure.keys.credentials import CredentialError, VerifyingKey
from projections.audit.projection import AUDIT
from projections.running.runner import LEASE_SECONDS
from projections.tickets.projection import TICKETS
from tests.support.health import metrics, poison, project_with, readiness, ready, unready
from tests.support.mongod import ReplicaSet
from tests.support.server import (
    Client,
    Served,
    new_id,
    refused,
    seen,
    serving,
    serving_apart,
    token_for,
    until,
)


def live(position: int) -> dict[str, Any]:
    """What is told of the first version, current at `position`."""
    told = {"version": 1, "role": "live", "state": "current", "position": position}
    return told | {"lagEvents": 0, "lagSeconds": 0.0, "parked": 0, "progress": None}


def test_a_service_that_works_is_ready(served: Served, client: Client) -> None:
    until(lambda: ready(client))
    client.created()

    assert client.get("/healthz").json() == {"status": "ok"}
    assert readiness(client) == {
        "status": "ready",
        "projections": [
            {"name": name, "state": "current", "head": served.head}
            | {"lagEvents": 0, "lagSeconds": 0.0, "parked": 0}
            | {"versions": [live(served.head)]}
            for name in ("tickets", "audit")
        ],
        "problems": [],
    }


def test_health_and_figures_need_no_token(served: Served) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert httpx.get(f"{served.url}{path}").status_code == 200


def test_strangers_are_told_the_state_alone(served: Served, client: Client) -> None:
    until(lambda: ready(client))
    client.created()
    strangers: tuple[dict[str, str], ...] = (
        {},
        {"Authorization": "Bearer no.token.ofours"},
        {"Authorization": f"Bearer {token_for(client.org, scope='tickets:read audit:read')}"},
    )
    for headers in strangers:
        with httpx.Client(base_url=served.url, headers=headers) as stranger:
            answer = stranger.get("/readyz")
            assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
            assert metrics(stranger) == {
                ("ticketbook_store_up",): 1,
                ("ticketbook_projection_up", "tickets"): 1,
                ("ticketbook_projection_up", "audit"): 1,
            }


def test_health_asks_store_and_files_off_the_event_loop(
    served: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set[str]()

    def looked(service: Service) -> Health:
        threads.add(current_thread().name)
        return look(service)

    monkeypatch.setattr(health, "look", looked)
    readiness(client)

    assert threads and "server" not in threads


def test_a_sqlite_file_that_is_gone_is_unready_and_commands_are_refused(tmp_path: Path) -> None:
    """Answers of 201 would be lost with the last process."""
    path, aside = tmp_path / "ticketbook.db", tmp_path / "aside.db"
    with serving(f"sqlite:///{path}") as served:
        client = served.client()
        created = client.created()
        until(lambda: ready(client))

        path.rename(aside)
        refused(client.create(), 503, "store-unavailable")
        told = readiness(client)
        assert told["status"] == "unready"
        assert str(path) in told["problems"][0]
        assert metrics(client)["ticketbook_store_up",] == 0

        aside.rename(path)
        until(lambda: ready(client))
        assert client.get(f"/v1/tickets/{created['_id']}").json() == created


def test_a_machine_with_nothing_left_is_degraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(f"sqlite:///{tmp_path / 'ticketbook.db'}") as served:
        client = served.client()
        until(lambda: ready(client))
        monkeypatch.setattr(machine, "LEAST_ROOM", 2**62)
        monkeypatch.setattr(machine, "MOST_DESCRIPTORS", 0.0)
        told = readiness(client)

    assert (told["status"], len(told["problems"])) == ("degraded", 2)
    assert "descriptors open" in told["problems"][0]
    assert "MB left" in told["problems"][1]


def test_a_view_that_lags_is_degraded(
    served: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: ready(client))
    (behind, *_) = statuses(served.service)
    late = replace(behind.live_version, lag_events=7, lag_seconds=90.0)
    monkeypatch.setattr(looking, "read_statuses", lambda _: [replace(behind, versions=[late])])
    told = readiness(client)

    assert told["status"] == "degraded"
    assert "7 events behind" in told["problems"][0]


def test_the_figures_are_those_of_the_store(served: Served, client: Client) -> None:
    before = metrics(client)
    client.created()
    client.get("/v1/tickets/nope")
    client.get("/nowhere")

    figures = metrics(client)

    assert figures["ticketbook_store_up",] == 1
    assert figures["ticketbook_log_head",] == served.head
    for name in ("tickets", "audit"):
        assert figures["ticketbook_projection_position", name] == served.head
        assert figures["ticketbook_projection_lag_events", name] == 0
        assert figures["ticketbook_projection_lag_seconds", name] == 0
        assert figures["ticketbook_projection_parked_tickets", name] == 0
        assert figures["ticketbook_projection_up", name] == 1
    requests = "ticketbook_http_requests_total"
    for labels in (
        ("POST", "/v1/tickets", "201"),
        ("GET", "/v1/tickets/{ticket_id}", "400"),
        ("ANY", "unmatched", "404"),
    ):
        assert figures[requests, *labels] == before.get((requests, *labels), 0) + 1
    assert figures["ticketbook_http_request_seconds_count", "POST", "/v1/tickets"] >= 1


def test_made_up_methods_and_paths_make_no_figures_of_their_own(client: Client) -> None:
    before = metrics(client)
    for method in ("PROPFIND", "MKCOL", "SUBSCRIBE"):
        for path in ("/v1/tickets", "/nowhere", f"/{new_id()}"):
            client.request(method, path)

    added = metrics(client).keys() - before.keys()

    requests = {labels[1:] for labels in added if labels[0] == "ticketbook_http_requests_total"}
    made_up = requests - {("GET", "/metrics", "200")}
    assert made_up <= {("ANY", "unmatched", "404"), ("ANY", "/v1/tickets", "405")}


def test_made_up_methods_take_no_memory() -> None:
    async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})

    async def run() -> int:
        envelope = Envelope(nothing, CollectorRegistry(), {})
        for number in range(100):
            scope = {
                "type": "http",
                "method": f"M{number}",
                "path": "/",
                "headers": [],
                "query_string": b"",
            }
            await envelope(scope, None, _forget)  # type: ignore[arg-type]  # nothing is received
        return len(envelope._known)

    assert asyncio.run(run()) == 1


async def _forget(_: Message) -> None:
    """A client that does not listen."""


def test_an_issuer_that_does_not_answer_keeps_nobody_else_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(f"sqlite:///{tmp_path / 'ticketbook.db'}") as served, ExitStack() as stack:
        client = served.client()
        client.created()
        tokens, arrived, go_on = served.service.tokens, set[str](), Event()
        known = tokens.known

        def noticed(token: str) -> Caller | None:
            arrived.add(token)
            return known(token)

        def hanging(_token: str) -> VerifyingKey:
            go_on.wait(60)
            raise CredentialError("issuer-unavailable", "The issuer does not answer.")

        monkeypatch.setattr(tokens, "known", noticed)
        monkeypatch.setattr(tokens, "_key_of", hanging)
        pool = stack.enter_context(ThreadPoolExecutor(50))
        stack.callback(go_on.set)
        strangers = [pool.submit(served.client().get, "/v1/tickets") for _ in range(50)]
        until(lambda: len(arrived) == 50)

        assert client.get("/v1/tickets").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert not any(stranger.done() for stranger in strangers)
        go_on.set()
        for stranger in strangers:
            refused(stranger.result(), 503, "issuer-unavailable")


def test_a_poisoned_ticket_parks_alone_and_it_is_said(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch)
    with serving(store_url) as served:
        client = served.client()
        created = client.create()
        path = created.headers["Location"]
        poisoned = client.patch(path, json={"name": "poison"}, headers={"If-Match": '"1"'})
        later = client.patch(path, json={"name": "mended"}, headers={"If-Match": '"2"'})
        healthy = client.created()
        assert poisoned.status_code == later.status_code == 200

        told = readiness(client)
        assert told["status"] == "degraded"
        assert [one["parked"] for one in told["projections"]] == [1, 1]
        assert "tickets has 1 parked ticket" in told["problems"][0]
        assert metrics(client)["ticketbook_projection_parked_tickets", "tickets"] == 1
        (parked,) = client.get("/v1/projections/tickets").json()["parked"]
        assert parked["ticketId"] == created.json()["_id"]
        assert parked["position"] == int(poisoned.headers["Event-Position"])
        assert parked["error"] == "ValueError: I cannot read this"
        assert client.get(f"/v1/tickets/{healthy['_id']}").json() == healthy
        assert client.get(path).json() == created.json()
        for after in (poisoned, later):
            for address in (path, f"{path}/history"):
                answer = client.get(address, headers=seen(after))
                assert "parked" in refused(answer, 503, "projection-behind")["detail"]
        assert client.get(path, headers=seen(created)).json() == created.json()
        assert len(client.history(created.json()["_id"], created)) == 1

        retry = f"/v1/projections/tickets/parked/{created.json()['_id']}/retry"
        assert client.post(retry).json()["parked"], "it is still poison to this service"

    monkeypatch.setattr(composition, "TICKETS", TICKETS)
    monkeypatch.setattr(composition, "AUDIT", AUDIT)
    with serving(store_url) as served:
        client = served.client(client.org)
        assert client.post(retry).json()["parked"] == []
        assert client.post(retry.replace("tickets", "audit", 1)).json()["parked"] == []
        assert len(client.history(created.json()["_id"], later)) == 3
        assert client.get(path, headers=seen(later)).json() == later.json()
        refused(client.post(retry), 404, "ticket-not-parked")
        until(lambda: ready(client))


@pytest.mark.parametrize("first", [True, False], ids=["first event", "later event"])
def test_a_parked_ticket_is_never_shown_as_current_and_never_betrayed(
    store_url: str, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    poison(monkeypatch)
    with serving(store_url) as served:
        ada, other, staff = served.client(), served.client(), served.client("*")
        last = ada.create(name="poison" if first else "healthy")
        ticket_id, path = last.json()["_id"], last.headers["Location"]
        if not first:
            last = ada.patch(path, json={"name": "poison"}, headers={"If-Match": '"1"'})
        mine = other.created()

        for caller in (ada, staff):
            for address in (path, f"{path}/history", "/v1/tickets", "/v1/audit"):
                problem = refused(caller.get(address, headers=seen(last)), 503, "projection-behind")
                assert ticket_id in problem["detail"]
        for address in (path, f"{path}/history"):
            refused(other.get(address, headers=seen(last)), 404, "ticket-not-found")
        for address in ("/v1/tickets", "/v1/audit"):
            answer = other.get(address, headers=seen(last))
            assert answer.status_code == 200
            assert len(answer.json()["items"]) == 1
            before = {"Min-Event-Position": str(int(last.headers["Event-Position"]) - 1)}
            assert ada.get(address, headers=before).status_code == 200
            assert ada.get(address).status_code == 200
        asked = ada.get("/v1/audit", params={"ticket": mine["_id"]}, headers=seen(last))
        assert (asked.status_code, asked.json()["items"]) == (200, [])


def lease_ends_soon(client: Client, name: str) -> None:
    """The leader of a projection holds its lease for one interval from now at most."""
    lease = client.get(f"/v1/projections/{name}").json()["lease"]
    most = datetime.now(UTC) + timedelta(seconds=LEASE_SECONDS)
    assert datetime.fromisoformat(lease["expiresAt"]) <= most


def test_a_stuck_runner_is_unready_once_its_lease_has_ended_and_its_lag_is_shown(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = Event()

    def project(ticket: Ticket | None, recorded: Recorded) -> Ticket | None:
        go_on.wait(60)
        return TICKETS.project(ticket, recorded)

    project_with(monkeypatch, project)
    with serving(store_url) as served:
        client = served.client()
        until(lambda: ready(client))
        began = datetime.now(UTC)
        client.create()
        stored = datetime.now(UTC)
        for _ in range(2):
            last = client.create()

        lease_ends_soon(client, "tickets")
        until(lambda: unready(client))
        asked = datetime.now(UTC)
        told = readiness(client)
        answered = datetime.now(UTC)
        assert "Projection tickets is down" in told["problems"][0]
        stuck, fine = told["projections"]
        assert (stuck["state"], fine["state"]) == ("down", "current")
        assert (stuck["lagEvents"], fine["lagEvents"]) == (3, 0)
        lag = timedelta(seconds=stuck["lagSeconds"])
        rounding = timedelta(seconds=0.01)
        assert asked - stored - rounding <= lag <= answered - began + rounding
        figures = metrics(client)
        assert figures["ticketbook_projection_up", "tickets"] == 0
        assert figures["ticketbook_projection_lag_events", "tickets"] == 3
        with monkeypatch.context() as impatient:
            impatient.setattr(freshness, "WAIT_SECONDS", 0.1)
            answer = client.get(last.headers["Location"], headers=seen(last))
        refused(answer, 503, "projection-behind")

        go_on.set()
        until(lambda: ready(client))
        assert client.ticket(last.json()["_id"], last).json() == last.json()


def test_a_killed_runner_is_replaced_once_its_lease_has_ended(store_url: str) -> None:
    with serving_apart(store_url) as leader:
        with Client(leader.url) as client:
            until(lambda: ready(client))
        with serving(store_url) as served:
            client = served.client()
            last = client.create()
            leader.kill()

            lease_ends_soon(client, "tickets")
            until(lambda: not unready(client))
            last = client.create()
            until(lambda: client.ticket(last.json()["_id"], last).status_code == 200)
            until(lambda: ready(client))


def test_a_refused_catalogue_file_degrades(tmp_path: Path, store_url: str) -> None:
    path = tmp_path / "catalogue.toml"
    good = '[systems.workforce_2]\ndescription = "Plans."\nfeatures = { get_all = "List." }\n'
    path.write_text(good)
    with serving(store_url, TICKETBOOK_CATALOGUE=str(path)) as served:
        client = served.client()
        until(lambda: ready(client))

        path.write_text("[systems")
        until(lambda: not ready(client))
        told = readiness(client)
        assert told["status"] == "degraded"
        assert "catalogue.toml" in told["problems"][0]
        assert client.create(features=["get_all"]).status_code == 201

        path.write_text(good)
        until(lambda: ready(client))


def test_a_locked_sqlite_file_is_unready_until_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "ticketbook.db"
    with serving(f"sqlite:///{path}") as served, closing(sqlite3.connect(path)) as other:
        client = served.client()
        until(lambda: ready(client))

        other.execute("BEGIN IMMEDIATE")
        until(lambda: unready(client))
        assert "down" in " ".join(readiness(client)["problems"])
        assert client.get("/healthz").status_code == 200
        other.rollback()
        until(lambda: ready(client))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    """A MongoDB that may be ill-treated."""
    with closing(ReplicaSet(tmp_path_factory.mktemp("own"), members=1)) as replica_set:
        yield replica_set


def kill(own: ReplicaSet) -> Callable[[], None]:
    port = own.kill_primary()
    return lambda: own.revive(port)


def freeze(own: ReplicaSet) -> Callable[[], None]:
    own.freeze()
    return own.thaw


@pytest.mark.parametrize("harm", [kill, freeze])
def test_a_store_that_is_down_is_reported_while_it_is_down_and_so_is_its_return(
    own: ReplicaSet,
    harm: Callable[[ReplicaSet], Callable[[], None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.5)
    with serving(own.uri.replace("/?", f"/{harm.__name__}?")) as served:
        client = served.client()
        created = client.created()
        until(lambda: ready(client))

        mend = harm(own)
        told = readiness(client)
        assert told["status"] == "unready"
        assert "does not answer" in told["problems"][0]
        stranger = httpx.get(f"{served.url}/readyz")
        assert (stranger.status_code, stranger.json()) == (503, {"status": "unready"})
        assert metrics(client)["ticketbook_store_up",] == 0
        assert client.get("/healthz").json() == {"status": "ok"}

        mend()
        until(lambda: ready(client), 60)
        assert client.get(f"/v1/tickets/{created['_id']}").json() == created
        assert client.created()
