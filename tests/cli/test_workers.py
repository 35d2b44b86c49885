"""What keeps a processor busy is done by processes that can be watched, interrupted and lost."""

import multiprocessing
import os
from collections.abc import Callable, Iterator

import pytest

from api.composition import open_service, open_stores
from api.use_cases import workers
from api.use_cases.workers import Workers
from domain.errors import StoreUnavailable
from infrastructure.configuration.settings import Settings, load_settings
from tests.bench.history import fill
from tests.support.server import environment

EVENTS = 10_000


@pytest.fixture(autouse=True)
def _started_anew(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one store the processes are started as they are outside of tests."""
    if store == "sqlite":
        monkeypatch.setattr(workers, "PROCESSES", multiprocessing.get_context("spawn"))


def workers_of(settings: Settings, small: int = 0) -> Workers:
    return Workers(settings, open_stores, lambda: EVENTS, small)


@pytest.fixture
def settings(store_url: str) -> Iterator[Settings]:
    settings = load_settings(environment(store_url))
    with open_stores(settings) as stores:
        fill(stores.log, EVENTS)
    with open_service(settings, run_projections=False) as service:
        versions = service.projections["tickets"].versions
        build, view = versions.begin(EVENTS, 2), versions.view(2)
        with workers_of(settings).build("tickets", build) as builders:
            while view.loaded() != {0: EVENTS, 1: EVENTS}:
                builders.reached()
        view.complete(EVENTS)
    yield settings


def test_a_worker_that_is_killed_is_told_and_one_that_is_interrupted_leaves_nobody_behind(
    settings: Settings,
) -> None:
    niceness: list[int] = []

    def kill(_: int) -> None:
        for child in multiprocessing.active_children():
            assert child.pid
            niceness.append(os.getpriority(os.PRIO_PROCESS, child.pid))
            child.kill()

    with pytest.raises(StoreUnavailable, match="ended early: exit code -9"):
        workers_of(settings).verify("tickets", 2, kill)
    assert set(niceness) == {10}

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workers_of(settings).verify("tickets", 2, interrupt)
    assert multiprocessing.active_children() == []

    found = workers_of(settings).verify("tickets", 2, lambda _: None)
    assert (found.position, found.rows, found.mismatches) == (EVENTS, EVENTS // 5, [])


def test_work_on_a_small_store_is_done_in_this_process(settings: Settings) -> None:
    """So a small store is rebuilt and verified in about a second."""
    here = workers_of(settings, small=EVENTS)
    started: list[object] = []

    def look(_: int) -> None:
        started.extend(multiprocessing.active_children())

    found = here.verify("tickets", 2, look)
    assert (found.position, found.rows, found.mismatches) == (EVENTS, EVENTS // 5, [])
    assert here.compare("tickets", 1, 2, look) == []
    with open_service(settings, run_projections=False) as service:
        versions = service.projections["audit"].versions
        build, view = versions.begin(EVENTS, 2), versions.view(2)
        with here.build("audit", build) as builders:
            while builders.reached() < EVENTS:
                look(0)
        assert view.loaded() == {0: EVENTS, 1: EVENTS}
    assert started == []


def test_work_in_this_process_is_interrupted_and_its_failure_told(settings: Settings) -> None:
    here = workers_of(settings, small=EVENTS)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        here._result(lambda stores, at: _for_ever(at), interrupt)
    with pytest.raises(StoreUnavailable, match="ended early: KeyError: 'nothing'"):
        here.verify("nothing", 2, lambda _: None)


def _for_ever(at: Callable[[int], None]) -> None:
    while True:
        at(0)
