"""Once a reader has seen position n, nothing at or below n ever appears, and there are no gaps:
held by several processes at once, through stepdowns of the primary and through `kill -9`."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Final

import pytest
from eventsourcing.persistence import StoredEvent
from pymongo import MongoClient

from domain.errors import HeadMoved, StoreUnavailable
from infrastructure.log.chain_check import check_chain
from infrastructure.log.ordered_log import OrderedLog
from infrastructure.mongodb.client import Document
from tests.support.log_process import LAST, TOGETHER, open_log
from tests.support.mongod import ReplicaSet

_STUCK_SECONDS: Final = 120

EVENTS: Final = pytest.mark.parametrize(
    "events", [600, pytest.param(5_000, marks=pytest.mark.exhaustive)]
)
"""By how many the log gets longer between one change of primary and the next."""

Process = subprocess.Popen[bytes]


class Crowd:
    """Four processes that append to one store, all at it, and two that follow it."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._numbers = count(1)
        self._reports: dict[int, Path] = {}
        self._opened = ExitStack()
        self.log: OrderedLog = open_log(url, self._opened)
        self.following = [self._start("follow") for _ in range(2)]
        self.appending = [self._start("append") for _ in range(4)]
        for process in self.appending:
            self._wait_for_acknowledgement(process)

    def wait_for_more(self, events: int) -> None:
        """Wait until the log has got that much longer."""
        wanted = self.head() + events
        _wait(lambda: self.head() >= wanted)

    def head(self) -> int:
        """The end of the log, as soon as there is somebody to ask."""
        deadline = monotonic() + _STUCK_SECONDS
        while True:
            try:
                return self.log.head()
            except StoreUnavailable:
                if monotonic() > deadline:
                    raise

    def replace_one(self) -> None:
        """Kill the appending process that was started first as `kill -9` does, in the middle of
        its work, and start another in its place."""
        victim = self.appending.pop(0)
        self._wait_for_acknowledgement(victim)
        victim.kill()
        victim.wait()
        _input(victim).close()
        self.appending.append(self._start("append"))

    def finish(self) -> None:
        """Let the appending processes end what they began, and the following ones see it all."""
        for process in self.appending:
            _input(process).close()
        assert [process.wait(_STUCK_SECONDS) for process in self.appending] == [0] * 4
        end = StoredEvent("end", 1, LAST, b"{}")
        while True:
            with suppress(HeadMoved):
                self.log.commit(self.head(), [end])
                break
        assert [process.wait(_STUCK_SECONDS) for process in self.following] == [0] * 2

    def acknowledged(self) -> list[tuple[str, int, int]]:
        """(stream, first position, last position) of each append that was acknowledged."""
        reports = [path.read_text() for path in self._folder.glob("append-*")]
        lines = [line.split() for report in reports for line in report.splitlines()]
        return [(stream, int(first), int(last)) for stream, first, last in lines]

    def seen(self) -> list[list[tuple[int, str, int]]]:
        """What each following process saw: (position, stream, version) in the order it came."""
        reports = [path.read_text() for path in self._folder.glob("follow-*")]
        lines = [[line.split() for line in report.splitlines()] for report in reports]
        return [
            [(int(place), stream, int(version)) for place, stream, version in some]
            for some in lines
        ]

    def close(self) -> None:
        for process in self.appending + self.following:
            process.kill()
            process.wait()
            _input(process).close()
        self._opened.close()

    def _start(self, role: str) -> Process:
        report = self._folder / f"{role}-{next(self._numbers)}"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.log_process", role, self._url, report],
            stdin=subprocess.PIPE,
        )
        self._reports[process.pid] = report
        return process

    def _wait_for_acknowledgement(self, process: Process) -> None:
        report = self._reports[process.pid]
        before = _size(report)
        _wait(lambda: _size(report) > before)


def _wait(reached: Callable[[], bool]) -> None:
    deadline = monotonic() + _STUCK_SECONDS
    while not reached():
        assert monotonic() < deadline, "the log does not get further"
        sleep(0.02)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _input(process: Process) -> IO[bytes]:
    assert process.stdin
    return process.stdin


def check_promises(crowd: Crowd) -> None:
    stored = [
        (found.id, str(found.originator_id), found.originator_version)
        for found in crowd.log.read(0, 10_000_000)
    ]
    assert [position for position, _, _ in stored] == list(range(1, len(stored) + 1))

    assert check_chain(crowd.log, [], lambda position, end: None) == crowd.log.ending()

    for seen in crowd.seen():
        assert seen == stored

    acknowledged = crowd.acknowledged()
    assert acknowledged
    for stream, first, last in acknowledged:
        assert stored[first - 1 : last] == [
            (first + offset, stream, 1 + offset) for offset in range(TOGETHER)
        ]

    places = {(stream, version) for _, stream, version in stored}
    assert len(places) == len(stored), "something was stored twice"
    streams = {stream for _, stream, _ in stored}
    assert len(stored) == 1 + (len(streams) - 1) * TOGETHER, "an append was torn"
    assert len(acknowledged) <= len(streams) - 1


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    return folder


@pytest.fixture
def replica_set(tmp_path: Path) -> Iterator[ReplicaSet]:
    with closing(ReplicaSet(tmp_path / "members")) as started:
        yield started


@pytest.mark.parametrize("events", [4_000, pytest.param(200_000, marks=pytest.mark.exhaustive)])
def test_followers_see_every_append_of_four_processes_once_and_in_order(
    store_url: str, reports: Path, events: int
) -> None:
    with closing(Crowd(store_url, reports)) as crowd:
        crowd.wait_for_more(events)
        crowd.finish()
        check_promises(crowd)


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_nothing_is_lost_or_doubled_when_processes_are_killed(
    store_url: str, reports: Path, kills: int
) -> None:
    with closing(Crowd(store_url, reports)) as crowd:
        for _ in range(kills):
            crowd.replace_one()
        crowd.wait_for_more(1_000)
        crowd.finish()
        check_promises(crowd)


@EVENTS
def test_nothing_is_lost_or_doubled_when_the_primary_steps_down_twice(
    replica_set: ReplicaSet, reports: Path, events: int
) -> None:
    with closing(Crowd(in_database(replica_set), reports)) as crowd:
        for _ in range(2):
            crowd.wait_for_more(events)
            replica_set.step_down()
        crowd.wait_for_more(events)
        crowd.finish()
        check_promises(crowd)


@EVENTS
def test_nothing_is_seen_or_acknowledged_that_dies_with_the_primary(
    replica_set: ReplicaSet, reports: Path, events: int
) -> None:
    with closing(Crowd(in_database(replica_set), reports)) as crowd:
        crowd.wait_for_more(events)
        primary = replica_set.primary()
        with MongoClient[Document]("127.0.0.1", primary, directConnection=True) as alone:
            commits = alone["log"]["commits"]
            others = [port for port in replica_set.ports if port != primary]
            for port in others:
                replica_set.kill(port)
            shared = crowd.head()
            _wait(lambda: commits.find({}, sort=[("_id", -1)])[0]["last"] > shared)
        replica_set.kill(primary)
        for port in others:
            replica_set.revive(port)
        crowd.wait_for_more(events)
        replica_set.revive(primary)  # what only it held is rolled back
        crowd.wait_for_more(events)
        crowd.finish()
        check_promises(crowd)


@pytest.mark.exhaustive
def test_nothing_is_lost_or_doubled_when_everything_is_killed_again_and_again(
    replica_set: ReplicaSet, reports: Path
) -> None:
    with closing(Crowd(in_database(replica_set), reports)) as crowd:
        for _ in range(10):
            crowd.replace_one()
            killed = replica_set.kill_primary()
            crowd.wait_for_more(5_000)
            replica_set.revive(killed)
            replica_set.wait_until_writable(members=3)
            crowd.replace_one()
            replica_set.step_down()
            crowd.wait_for_more(5_000)
        crowd.finish()
        check_promises(crowd)


def in_database(replica_set: ReplicaSet) -> str:
    return replica_set.uri.replace("/?", "/log?")
