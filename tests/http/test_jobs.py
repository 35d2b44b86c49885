"""What operators do over HTTP: it is answered at once, polled from anywhere, and survives nodes."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, Final

import pytest

from api.use_cases import freshness
from projections.versions import control
from tests.support.server import Client, Served, refused, seen, serving, serving_apart, until

SLOW: Final = 20
"""Events a second at which a rebuild takes long enough to be caught at it."""

PATIENCE: Final = 300.0
"""Seconds until a job that still runs is taken to run for ever."""


@pytest.fixture
def served(store_url: str) -> Iterator[Served]:
    """A service of its own, as its views are rebuilt."""
    with serving(store_url) as running:
        yield running


def started(client: Client, path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/projections/{path}", json=body)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/v1/operations/{job['id']}"
    assert (job["projection"], job["kind"]) == tuple(path.split("/"))
    assert (job["state"], job["by"]) == ("running", "ada")
    return job


def ended(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    """The job, once it runs no longer."""

    def now() -> dict[str, Any]:
        current: dict[str, Any] = client.get(f"/v1/operations/{job['id']}").json()
        return current

    until(lambda: now()["state"] != "running", PATIENCE)
    return now()


@contextmanager
def traffic(client: Client) -> Iterator[list[str]]:
    """Create tickets and read each at once, without a pause; yields what went wrong."""
    stop, wrong = Event(), list[str]()

    def run() -> None:
        while not stop.is_set():
            created = client.create()
            found = client.get(created.headers["Location"], headers=seen(created))
            if (created.status_code, found.status_code) != (201, 200):
                wrong.append(found.text)

    thread = Thread(target=run)
    thread.start()
    try:
        yield wrong
    finally:
        stop.set()
        thread.join()


def deeds(client: Client) -> list[str]:
    """What the journal says was done to projections, the latest first."""
    entries = client.get("/v1/audit/reads").json()["items"]
    return [one["action"] for one in entries if one["action"].startswith("projection.")]


def test_a_rebuild_over_http_while_clients_write_and_read(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "WAIT_SECONDS", 60.0)  # a busy machine takes its time
    with serving(store_url) as served:  # and its processes
        rebuild_while_clients_write_and_read(served)


def rebuild_while_clients_write_and_read(served: Served) -> None:
    operator, writer = served.client("*"), served.client()
    first = writer.created()
    with traffic(writer) as wrong:
        done = ended(operator, started(operator, "tickets/rebuild", reason="new shape"))
        assert (done["state"], done["error"]) == ("done", None), done
        assert (done["result"]["state"], done["result"]["version"]) == ("switched", 2)
        assert (done["result"]["wrongInLive"], done["result"]["new"]["differing"]) == (0, 0)
        assert (done["result"]["newlyParked"], done["result"]["parked"]) == (0, [])
        assert (done["phase"], done["reason"]) == ("switched", "new shape")
        assert done["startedAt"] <= done["finishedAt"]
        assert operator.get("/v1/projections/tickets").json()["version"] == 2

        back = ended(operator, started(operator, "tickets/rollback"))
        assert (back["state"], back["result"]) == ("done", {"version": 1})
    assert wrong == []
    assert writer.get(f"/v1/tickets/{first['_id']}").json() == first
    listed = operator.get("/v1/operations").json()["items"]
    assert [one["id"] for one in listed] == [back["id"], done["id"]]
    page = operator.get("/v1/operations?limit=1").json()
    rest = operator.get("/v1/operations", params={"limit": 1, "cursor": page["next"]}).json()
    assert (page["items"], rest["items"], rest["next"]) == (listed[:1], listed[1:], None)
    assert deeds(operator) == ["projection.rolled_back", "projection.rebuilt"]


def test_old_versions_are_dropped_over_http(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "DROP_AFTER", 0.1)
    operator = served.client("*")
    refused(operator.post("/v1/projections/audit/rollback"), 409, "version-unknown")
    assert ended(operator, started(operator, "audit/rebuild"))["state"] == "done"
    tried = ended(operator, started(operator, "audit/drop-old", dryRun=True))
    assert tried["result"] == {"versions": [1]}
    dropped = ended(operator, started(operator, "audit/drop-old"))
    assert dropped["result"] == {"versions": [1]}
    assert (tried["phase"], dropped["phase"]) == (None, "waiting until nobody reads it")
    assert len(operator.get("/v1/projections/audit").json()["versions"]) == 1
    refused(operator.post("/v1/projections/audit/rollback"), 409, "version-unknown")
    assert deeds(operator) == ["projection.old_dropped", "projection.rebuilt"]


def test_a_dry_run_compares_and_is_cancelled(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "DROP_AFTER", 0.1)
    operator = served.client("*")
    served.client().created()
    refused(operator.post("/v1/projections/tickets/cancel"), 409, "version-unknown")
    done = ended(operator, started(operator, "tickets/rebuild", dryRun=True))
    assert (done["result"]["state"], done["result"]["version"]) == ("compared", 2)
    assert operator.get("/v1/projections/tickets").json()["version"] == 1
    tried = ended(operator, started(operator, "tickets/cancel", dryRun=True))
    assert (tried["result"], deeds(operator)) == ({"version": 2}, [])
    assert ended(operator, started(operator, "tickets/cancel"))["result"] == {"version": 2}
    assert len(operator.get("/v1/projections/tickets").json()["versions"]) == 1


def test_what_differs_is_found_and_repaired_over_http(served: Served) -> None:
    operator, client = served.client("*"), served.client()
    ticket = client.created()
    view: Any = served.service.projections["tickets"].live_version.projected.view
    fence = served.service.jobs._leases.seize("tickets@1", "a vandal", 0.1)
    view.mend({ticket["_id"]: None}, fence)

    found = ended(operator, started(operator, "tickets/verify"))["result"]
    assert (found["differing"], found["remaining"]) == (1, 1)
    assert found["differences"][0]["kind"] == "missing"
    mended = ended(operator, started(operator, "tickets/verify", repair=True))["result"]
    assert (mended["differing"], mended["remaining"]) == (1, 0)
    verified = "projection.verified"
    assert deeds(operator) == ["projection.repaired", verified, verified]
    assert client.get(f"/v1/tickets/{ticket['_id']}").json() == ticket


def test_a_rebuild_is_paused_throttled_and_resumed_and_there_is_one_at_a_time(
    served: Served,
) -> None:
    operator, client = served.client("*"), served.client()
    for _ in range(5):
        client.created()
    refused(operator.post("/v1/projections/tickets/pause"), 409, "version-unknown")
    served.service.projections["tickets"].versions.begin(served.head, 1)
    paused = operator.post("/v1/projections/tickets/pause").json()
    assert paused["versions"][1]["build"]["paused"] is True
    running = started(operator, "tickets/rebuild")
    refused(operator.post("/v1/projections/tickets/rebuild"), 409, "operation-running")
    slow = operator.post("/v1/projections/tickets/throttle", json={"rate": SLOW}).json()
    assert slow["versions"][1]["build"]["rate"] == SLOW
    assert operator.get(f"/v1/operations/{running['id']}").json()["state"] == "running"
    assert operator.post("/v1/projections/tickets/resume").status_code == 200
    done = ended(operator, running)
    assert (done["state"], done["result"]["state"]) == ("done", "switched")


def test_nobody_operates_on_what_is_not_there(served: Served) -> None:
    operator = served.client("*")
    for path in ("nothing/rebuild", "nothing/pause"):
        refused(operator.post(f"/v1/projections/{path}"), 404, "not-found")
    refused(operator.get(f"/v1/operations/{'0' * 24}"), 404, "not-found")
    body = {"rate": "fast"}
    refused(
        operator.post("/v1/projections/tickets/throttle", json=body), 422, "invalid-body", "/rate"
    )


def test_another_node_answers_and_tells_when_the_one_that_rebuilds_is_killed(
    store_url: str,
) -> None:
    with serving(store_url) as other:
        operator = other.client("*")
        for _ in range(10):
            other.client().created()
        other.service.projections["tickets"].versions.begin(other.head, 1)
        other.service.projections["tickets"].versions.control(paused=True)
        with serving_apart(store_url) as node, Client(node.url, "*") as there:
            running = started(there, "tickets/rebuild")
            path = f"/v1/operations/{running['id']}"
            assert operator.get(path).json()["state"] == "running"
            node.kill()
            left = ended(operator, running)
            assert (left["state"], left["result"]) == ("interrupted", None)

        other.service.projections["tickets"].versions.control(paused=False)
        again = ended(operator, started(operator, "tickets/rebuild"))
        assert (again["state"], again["result"]["version"]) == ("done", 2)
        assert operator.get(path).json()["state"] == "interrupted"


def test_a_service_that_ends_interrupts_what_runs_in_it(store_url: str) -> None:
    with serving(store_url) as served:
        operator = served.client("*")
        served.client().created()
        served.service.projections["tickets"].versions.begin(served.head, 1)
        served.service.projections["tickets"].versions.control(paused=True)
        running = started(operator, "tickets/rebuild")
    with serving(store_url) as served:
        assert ended(served.client("*"), running)["state"] == "interrupted"
