"""Clocks that are wrong: ahead, behind, set back after a kill, on one node of two. The log never
answers a question about a time that it cannot tell of."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from api.composition import open_service
from api.use_cases.service import Service
from domain.errors import ClockAhead, LogAhead
from domain.origin import iso
from infrastructure.configuration.settings import load_settings
from infrastructure.log.times import TOLERANCE, Gap, LogTimes
from infrastructure.mongodb.client import Document
from infrastructure.mongodb.clock import MongoDBClock
from tests.support.command import run
from tests.support.health import readiness, ready
from tests.support.server import Client, Served, environment, refused, serving, until
from tests.support.stories import ACME, create, id_
from tests.support.view_rows import open_store

DAY = timedelta(days=1)
SOON = timedelta(seconds=40)
"""So far ahead that it matters, and not so far that MongoDB's store refuses it."""


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def opened(store_url: str, ahead: timedelta) -> Iterator[Service]:
    """A service whose clock is ahead, or behind."""
    with open_service(load_settings(environment(store_url)), clock=lambda: now() + ahead) as it:
        yield it


@pytest.fixture
def ahead(store_url: str) -> Iterator[tuple[Served, datetime]]:
    """A service with the right clock, on a log that a wrong one wrote; and the end of that."""
    far = SOON if store_url.startswith("mongodb") else 400 * DAY
    with opened(store_url, far) as service:
        service.writer.execute(create(id_(1)))
        end = service.log.last_recorded()
    assert end is not None
    with serving(store_url) as served:
        yield served, end


def test_no_question_about_a_time_is_answered_empty_that_the_log_cannot_tell_of(
    ahead: tuple[Served, datetime], store_url: str
) -> None:
    served, end = ahead
    client = served.client(ACME)
    later = client.created()
    moment = iso(now())

    assert served.service.log.last_recorded() == end
    for path, params in (
        ("/v1/tickets", {"at": moment}),
        (f"/v1/tickets/{later['_id']}", {"at": moment}),
        ("/v1/diff", {"from": moment}),
        ("/v1/audit", {"before": moment}),
        ("/v1/audit/export", {"before": moment}),
    ):
        problem = refused(client.get(path, params=params), 409, "log-ahead-of-clock")
        assert iso(end) in problem["detail"]
    assert client.get("/v1/tickets").json()["items"][-1]["_id"] == later["_id"]
    past = client.get("/v1/tickets", params={"at": iso(now() - DAY)})
    assert past.json()["items"] == []  # before the clock was wrong the log tells all
    assert len(client.get("/v1/tickets", params={"position": "2"}).json()["items"]) == 2

    code, _, err = run("audit", "at", moment, store=store_url)
    assert (code, iso(end) in err) == (4, True)


def test_today_is_not_answered_empty_either(tmp_path: Any) -> None:
    store_url = f"sqlite:///{tmp_path / 'ticketbook.db'}"
    with opened(store_url, 400 * DAY) as service:
        service.writer.execute(create(id_(1)))
    with serving(store_url) as served:
        today = {"feature": "get_all", "on": now().date().isoformat()}
        answer = served.client(ACME).get("/v1/grants", params=today)
    refused(answer, 409, "log-ahead-of-clock")


def test_times_stay_refused_once_the_clocks_have_come_so_far(store_url: str) -> None:
    with opened(store_url, SOON) as service:
        service.writer.execute(create(id_(1)))
    with opened(store_url, timedelta()) as service:
        service.writer.execute(create(id_(2)))
        between = now()
    with (
        opened(store_url, 2 * SOON) as service,
        pytest.raises(LogAhead),
    ):
        service.times.refuse(between)


def test_a_log_that_ends_ahead_of_the_clock_is_degraded(ahead: tuple[Served, datetime]) -> None:
    client = ahead[0].client()
    until(lambda: readiness(client)["status"] == "degraded")

    assert "ahead of the clock" in " ".join(readiness(client)["problems"])


def test_a_log_within_some_seconds_of_the_clock_is_fine(store_url: str) -> None:
    with opened(store_url, TOLERANCE / 2) as service:
        service.writer.execute(create(id_(1)))
        service.times.refuse(now())
    with serving(store_url) as served:
        until(lambda: ready(served.client()))


def test_a_commit_far_ahead_of_the_stores_own_clock_is_refused(mongodb_url: str) -> None:
    with opened(mongodb_url, 400 * DAY) as service:
        with pytest.raises(ClockAhead, match="clock of this machine"):
            service.writer.execute(create(id_(1)))
        assert service.log.head() == 0
        assert "ahead of" in (service.times.problem() or "")


def test_a_node_whose_clock_is_behind_is_told_and_the_log_is_not_blamed(mongodb_url: str) -> None:
    with opened(mongodb_url, timedelta()) as right, opened(mongodb_url, -3 * SOON) as behind:
        right.writer.execute(create(id_(1)))
        behind.writer.execute(create(id_(2)))

        assert "behind" in (behind.times.problem() or "")
        assert right.times.problem() is None
        for service in (right, behind):
            assert service.times.ahead() == timedelta()
            service.times.refuse(now() - SOON)


def test_the_primarys_clock_is_asked_seldom(mongodb_database: Database[Document]) -> None:
    seconds = [100.0]
    clock = MongoDBClock(mongodb_database, monotonic=lambda: seconds[0])
    first = clock()
    seconds[0] += 5.0

    assert clock() - first == timedelta(seconds=5)
    assert abs(first - now()) < timedelta(minutes=1)
    seconds[0] += 60.0
    assert clock() - first < timedelta(seconds=60)


class Remembered:
    """Notes in memory, with a count of what was stored."""

    def __init__(self) -> None:
        self.notes: dict[str, Any] = {}
        self.stored = 0

    def find(self, name: str) -> Any:
        return self.notes.get(name)

    def keep(self, name: str, value: Any) -> None:
        self.notes[name] = value
        self.stored += 1


def test_a_gap_begins_where_it_was_noticed_first_and_is_stored_seldom() -> None:
    notes, start = Remembered(), now().replace(microsecond=0)
    clock = [start]
    times = LogTimes(notes, lambda: clock[0], None, lambda: None)
    for second in range(20):  # another process goes on, an hour ahead
        clock[0] = start + timedelta(seconds=second)
        times.notice(clock[0] + timedelta(hours=1))

    assert notes.stored < 6
    (stored,) = notes.notes["log.ahead"]
    gap = Gap(*map(datetime.fromisoformat, stored))
    assert gap.holds(start) and gap.holds(clock[0] + timedelta(minutes=59))
    assert not gap.holds(start - timedelta(seconds=1))


def set_back(store_url: str, by: timedelta, mongodb_database: Callable[[], Any]) -> None:
    """What leases look like once the database's clock was set back."""
    milliseconds = by // timedelta(milliseconds=1)
    if store_url.startswith("mongodb"):
        later = [{"$set": {"expiresAt": {"$add": ["$expiresAt", milliseconds]}}}]
        mongodb_database().leases.update_many({}, later)
        return
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE leases SET expires_at = expires_at + ?", (milliseconds,))
        connection.commit()


def test_a_clock_set_back_after_a_kill_lets_the_next_runner_take_over_at_once(
    store_url: str, request: pytest.FixtureRequest
) -> None:
    with open_store(store_url) as stores:
        stores.leases.acquire("tickets@1", "killed", 3.0)
        set_back(store_url, DAY, lambda: request.getfixturevalue("mongodb_database"))

        void = stores.leases.current("tickets@1")
        assert void is not None and void.expired
        assert stores.leases.acquire("tickets@1", "next", 3.0) == 2
        assert stores.leases.acquire("tickets@1", "killed", 3.0) is None


def test_views_move_after_a_clock_was_set_back_between_two_runs(
    store_url: str, request: pytest.FixtureRequest
) -> None:
    with serving(store_url) as served:
        served.client(ACME).created()
    with open_store(store_url) as stores:
        for name in ("tickets@1", "audit@1"):
            stores.leases.acquire(name, "killed", 3.0)
    set_back(store_url, DAY, lambda: request.getfixturevalue("mongodb_database"))
    with serving(store_url) as served:
        client: Client = served.client(ACME)
        assert client.created()
        assert isinstance(client, httpx.Client)
        until(lambda: ready(client))
