"""A read that names the position of a write never shows what was before it."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from threading import Event
from typing import Final

import pytest

from api.use_cases import freshness
from projections.versions.control import roll_back
from tests.support.rebuilds import rebuilt
from tests.support.server import (
    TICKET,
    Answer,
    Client,
    Served,
    Wire,
    new_id,
    refused,
    seen,
    serving,
    serving_apart,
    token_for,
    until,
)
from tests.support.slow_service import slow_projections

SLOW: Final = (sys.executable, "-m", "tests.support.slow_service", "serve", "--port", "0")

WORKERS: Final = 16
PAIRS: Final = 20 * WORKERS
"""Each worker meets a read of the history, a read that names no position, and slow events."""

MANY_WORKERS: Final = 32
"""At a time, where the number of pairs is large."""


@dataclass
class Counts:
    """What one worker saw: `behind` are refusals to answer yet, `stale` are old contents that were
    shown to a read that did not name its position."""

    pairs: int = 0
    behind: int = 0
    stale: int = 0


def write_and_read(write_to: str, read_from: str, pairs: int, *, workers: int = WORKERS) -> Counts:
    """Many workers, each with a ticket of its own, write and read it back again and again."""
    with ThreadPoolExecutor(workers) as pool:
        each = -(-pairs // workers)
        all_counts = list(pool.map(lambda _: _work(write_to, read_from, each), range(workers)))
    return Counts(
        sum(counts.pairs for counts in all_counts),
        sum(counts.behind for counts in all_counts),
        sum(counts.stale for counts in all_counts),
    )


def _work(write_to: str, read_from: str, pairs: int) -> Counts:
    headers = {"Authorization": f"Bearer {token_for(new_id())}"}
    counts = Counts()
    with closing(Wire(write_to, headers)) as writer, closing(Wire(read_from, headers)) as reader:
        written = writer.ask("POST", "/v1/tickets", TICKET)
        path = written.headers["Location"]
        for number in range(1, pairs + 1):
            if number % 10 == 5:
                _compare_history(reader, path, written, counts)
            else:
                _compare(reader, path, written, counts)
            counts.pairs += 1
            content = {"name": f"Shift {number}"}
            written = writer.ask("PATCH", path, content, If_Match=written.headers["ETag"])
            assert written.status == 200, written
            if number % 10 == 0:  # what the header is good for
                counts.stale += reader.ask("GET", path).body != written.body
    return counts


def _compare(reader: Wire, path: str, written: Answer, counts: Counts) -> None:
    answer = _patiently(reader, path, written, counts)
    assert answer.body == written.body
    assert answer.headers["ETag"] == written.headers["ETag"]


def _compare_history(reader: Wire, path: str, written: Answer, counts: Counts) -> None:
    answer = _patiently(reader, f"{path}/history?limit=1000", written, counts)
    last = answer.json()["items"][-1]
    assert str(last["position"]) == written.headers["Event-Position"]


def _patiently(reader: Wire, path: str, written: Answer, counts: Counts) -> Answer:
    """Ask until the service stops saying that it is behind."""
    while True:
        position = written.headers["Event-Position"]
        answer = reader.ask("GET", path, Min_Event_Position=position)
        if answer.status == 200:
            return answer
        assert (answer.status, answer.json()["code"]) == (503, "projection-behind")
        counts.behind += 1


def test_a_read_of_what_was_just_written_is_never_stale(store_url: str) -> None:
    with slow_projections(), serving(store_url) as server:
        counts = write_and_read(server.url, server.url, PAIRS)

    assert counts.pairs >= PAIRS
    assert counts.stale, "nothing was late: this proved nothing"


def test_a_read_from_another_process_is_never_stale(store_url: str) -> None:
    with slow_projections(), serving(store_url) as one, serving_apart(store_url, *SLOW) as other:
        there = write_and_read(one.url, other.url, PAIRS)
        back = write_and_read(other.url, one.url, PAIRS)

    assert there.pairs + back.pairs >= 2 * PAIRS
    assert there.stale and back.stale, "nothing was late: this proved nothing"


@pytest.mark.exhaustive
def test_ten_thousand_reads_of_what_was_just_written_are_never_stale(store_url: str) -> None:
    with serving_apart(store_url, *SLOW) as server:
        counts = write_and_read(server.url, server.url, 10_000, workers=MANY_WORKERS)

    assert counts.pairs >= 10_000
    assert counts.stale, "nothing was late: this proved nothing"


@pytest.mark.exhaustive
def test_two_thousand_reads_from_another_process_are_never_stale(store_url: str) -> None:
    with ExitStack() as stack:
        one, other = (stack.enter_context(serving_apart(store_url, *SLOW)) for _ in range(2))
        there = write_and_read(one.url, other.url, 1_000, workers=MANY_WORKERS)
        back = write_and_read(other.url, one.url, 1_000, workers=MANY_WORKERS)

    assert there.pairs + back.pairs >= 2_000
    assert there.stale and back.stale, "nothing was late: this proved nothing"


ROUNDS: Final = 20
"""A write and its reads, over and over, while views are rebuilt."""

READS: Final = ("/v1/tickets", "/v1/tickets/{id}", "/v1/tickets/{id}/history", "/v1/audit")


@pytest.mark.parametrize("path", READS)
def test_a_read_of_what_no_view_shows_is_refused_in_the_end(
    served: Served, client: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(freshness, "WAIT_SECONDS", 0.01)
    ticket = client.created()
    beyond = {"Min-Event-Position": str(served.head + 1)}
    served.service.head.advance(served.head + 1)  # as if another process had just committed it

    answer = client.get(path.format(id=ticket["_id"]), headers=beyond)

    problem = refused(answer, 503, "projection-behind")
    assert f"not yet at {served.head + 1}" in problem["detail"]
    assert answer.headers["Retry-After"] == "1"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read waits for as long as a busy machine may take."""
    monkeypatch.setattr(freshness, "WAIT_SECONDS", 60.0)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("path", READS)
def test_a_waiting_read_is_answered_as_soon_as_it_can_be(
    served: Served, client: Client, path: str
) -> None:
    ticket = client.created()
    address = path.format(id=ticket["_id"])
    beyond = {"Min-Event-Position": str(served.head + 1)}
    served.service.head.advance(served.head + 1)  # as if another process had just committed it
    name = "tickets" if path in READS[:2] else "audit"
    progress = served.service.projections[name].live_version.progress

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(client.get, address, headers=beyond)
        until(lambda: bool(progress._waiting))
        changed = client.patch(
            f"/v1/tickets/{ticket['_id']}", json={"name": "Day"}, headers={"If-Match": '"1"'}
        )
        answer = reading.result()

    assert (changed.status_code, answer.status_code) == (200, 200)
    if path == "/v1/tickets/{id}":
        assert answer.json() == changed.json()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("name", ["tickets", "audit"])
def test_reads_go_on_through_rebuilds_switches_and_rollbacks(store_url: str, name: str) -> None:
    with serving(store_url) as served:
        client = served.client()
        reads = READS[:2] if name == "tickets" else READS[2:]
        projection = served.service.projections[name]
        read_enough = Event()
        rounds = 0

        def rebuild_often() -> None:
            times = 0
            while times < 4 or not read_enough.is_set():
                assert rebuilt(projection, served.service.log.head).state == "switched"
                roll_back(projection, "operator")
                times += 1

        with ThreadPoolExecutor(1) as pool:
            rebuilding = pool.submit(rebuild_often)
            try:
                while not rebuilding.done():
                    last = client.create()
                    for read in reads:
                        address = read.format(id=last.json()["_id"])
                        whole = "" if read.endswith("{id}") else "?limit=1000"
                        answer = client.get(address + whole, headers=seen(last))
                        assert answer.status_code == 200
                        assert last.json()["_id"] in answer.text
                    rounds += 1
                    if rounds == ROUNDS:
                        read_enough.set()
            finally:
                read_enough.set()
            rebuilding.result()
        assert rounds >= ROUNDS


@pytest.mark.parametrize("path", ["", "/{_id}", "/{_id}/history"])
def test_a_position_beyond_the_log_is_refused_at_once(
    served: Served, client: Client, path: str
) -> None:
    ticket = client.created()
    beyond = served.head + 1

    answer = client.get(
        f"/v1/tickets{path.format_map(ticket)}", headers={"Min-Event-Position": str(beyond)}
    )

    problem = refused(answer, 400, "invalid-parameter", "/header/Min-Event-Position")
    assert f"the log ends at position {beyond - 1} now" in problem["detail"]
