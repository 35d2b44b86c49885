"""What watchers promise, on every store."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from time import monotonic

import pytest
from eventsourcing.persistence import StoredEvent

from infrastructure.mongodb.client import connect, database
from infrastructure.mongodb.watch import MongoDBWatcher
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.watch import SQLiteWatcher
from infrastructure.stores import Watcher
from tests.support.view_rows import Opened, open_store, step, ticket

NEVER = 3_600.0
"""Seconds between polls: whatever is heard was not polled."""


@pytest.fixture
def stores(store_url: str) -> Iterator[Opened]:
    with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def watcher(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watcher]:
    """A watcher of another process, with connections of its own, that polls as often as the test
    says, or never."""
    poll = getattr(request, "param", NEVER)
    if store == "sqlite":
        with closing(SQLiteDatabase(tmp_path / "ticketbook.db")) as opened:
            yield SQLiteWatcher(opened, poll=poll)
    else:
        with connect(request.getfixturevalue("mongodb_uri")) as client:
            name = request.getfixturevalue("mongodb_database").name
            yield MongoDBWatcher(database(client, name), poll=poll)


@contextmanager
def listening(stores: Opened, watcher: Watcher) -> Iterator[Queue[None]]:
    """What is heard from now on: the watcher is at work, and all earlier changes are heard."""
    heard: Queue[None] = Queue()
    stop = Event()

    def listen() -> None:
        for _ in watcher.changes(stop):
            heard.put(None)

    thread = Thread(target=listen)
    thread.start()
    try:
        deadline = monotonic() + 60
        while heard.empty():
            assert monotonic() < deadline, "nothing was ever heard"
            append(stores)
            stop.wait(0.1)
        with suppress(Empty):
            while True:
                heard.get(timeout=0.5)
        yield heard
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive(), "it goes on waiting"


def append(stores: Opened) -> None:
    head = stores.log.head()
    stores.log.commit(head, [StoredEvent("a", head + 1, "ticket.created", b"{}")])


def test_a_commit_of_another_process_is_heard_without_polling(
    stores: Opened, watcher: Watcher
) -> None:
    with listening(stores, watcher) as heard:
        append(stores)
        heard.get(timeout=60)


def test_a_view_that_another_process_moves_is_heard_without_polling(
    stores: Opened, watcher: Watcher
) -> None:
    with listening(stores, watcher) as heard:
        stores.tickets.apply(step(0, 1, ticket(1)), 0)
        heard.get(timeout=60)


@pytest.mark.parametrize("watcher", [0.05], indirect=True)
def test_what_is_not_heard_is_polled(watcher: Watcher) -> None:
    stop = Event()
    changes = watcher.changes(stop)
    for _ in range(5):
        next(changes)
    stop.set()
    assert list(changes) == []


def test_a_watcher_stops_promptly_though_nothing_happens(stores: Opened, watcher: Watcher) -> None:
    with listening(stores, watcher):
        pass  # it would otherwise wait for the poll, an hour
