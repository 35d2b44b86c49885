"""The lines of the log that operators look for, once each: requests on demand, take-over, switch,
jobs, the store away and back."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.responses import PlainTextResponse
from structlog.testing import capture_logs

from api.http.middleware.envelope import Envelope
from tests.support.health import ready
from tests.support.server import serving, until


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[str]:
    messages = [record.getMessage() for record in caplog.records]
    return [message for message in messages if message.startswith(f"{event} ")]


def requests_logged(*, access_log: bool) -> list[dict[str, Any]]:
    app = Envelope(PlainTextResponse("done"), CollectorRegistry(), {}, access_log=access_log)

    async def ask() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            await client.get("/v1/tickets?name=a+secret", headers={"X-Request-ID": "mine"})

    with capture_logs() as logged:
        asyncio.run(ask())
    return [dict(line) for line in logged if line["event"] == "request"]


def test_a_request_is_one_line_on_demand_without_its_query() -> None:
    (line,) = requests_logged(access_log=True)

    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/tickets", 200)
    assert line["request_id"] == "mine" and line["seconds"] >= 0
    assert "secret" not in str(line)
    assert requests_logged(access_log=False) == []


def test_take_over_rebuild_and_switch_are_lines_of_the_log(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), serving(store_url) as served:
        client = served.client("*")
        until(lambda: ready(client))
        taken = [line.split()[1] for line in lines(caplog, "projection.taken_over")]
        assert sorted(taken) == ["view=audit@1", "view=tickets@1"]

        assert client.post("/v1/projections/tickets/rebuild", json={}).status_code == 202
        until(lambda: bool(lines(caplog, "projection.switched")))
        until(lambda: bool(lines(caplog, "job.ended")))
    assert lines(caplog, "projection.switched") == [
        "projection.switched from=tickets@1 to=tickets@2"
    ]
    (started,), (ended,) = lines(caplog, "job.started"), lines(caplog, "job.ended")
    assert "kind=rebuild projection=tickets" in started
    assert "state=done" in ended


def test_a_store_that_is_away_and_back_is_a_line_each(tmp_path: Path) -> None:
    path, aside = tmp_path / "ticketbook.db", tmp_path / "aside.db"

    def logged_events(event: str) -> int:
        return sum(line["event"] == event for line in logged)

    with capture_logs() as logged, serving(f"sqlite:///{path}") as served:
        client = served.client()
        until(lambda: ready(client))
        path.rename(aside)
        until(lambda: logged_events("store.away") == 1)
        aside.rename(path)
        until(lambda: logged_events("store.back") == 1)
        until(lambda: ready(client))
    assert (logged_events("store.away"), logged_events("store.back")) == (1, 1)
