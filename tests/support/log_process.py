"""A process of its own that appends to a log, or follows one.

    python -m tests.support.log_process append|follow STORE REPORT

It ends when its standard input does: whoever started it is done with it, or dead.
"""

import os
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event, Thread
from time import sleep
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

from eventsourcing.persistence import StoredEvent

from domain.errors import StoreUnavailable
from infrastructure.log.appender import Appender
from infrastructure.log.ordered_log import OrderedLog
from infrastructure.mongodb.client import connect, database
from infrastructure.mongodb.log import MongoDBLog
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.log import SQLiteLog

TOGETHER: Final = 20
"""Events in one append: a stream of its own."""

THREADS: Final = 8

LAST: Final = "last"
"""Topic of the event after which nothing follows."""


def open_log(url: str, opened: ExitStack) -> OrderedLog:
    address = urlsplit(url)
    if address.scheme == "sqlite":
        return SQLiteLog(opened.enter_context(closing(SQLiteDatabase(Path(address.path)))))
    client = opened.enter_context(connect(url))
    return MongoDBLog(database(client, address.path.removeprefix("/")))


def append(log: OrderedLog, report: Path, done: Event) -> None:
    """Append from several threads; note `stream first-position last-position` for each append
    that was acknowledged, in a way that no kill undoes."""
    appender = Appender(log)
    notes = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def keep_appending() -> None:
        while not done.is_set():
            stream = uuid4().hex
            events = [StoredEvent(stream, n, "counted", b"{}") for n in range(1, TOGETHER + 1)]
            try:
                positions = appender.append(events)
            except StoreUnavailable:
                continue  # not acknowledged: it may be there, as a whole, or not
            os.write(notes, f"{stream} {positions[0]} {positions[-1]}\n".encode())

    threads = [Thread(target=keep_appending) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    appender.close()


def follow(log: OrderedLog, report: Path, done: Event) -> None:
    """Note `position stream version` for each event as it is seen, up to the last."""
    seen = 0
    topic = ""
    with report.open("w") as notes:
        while topic != LAST and not done.is_set():
            try:
                events = log.read(seen, 1_000)
            except StoreUnavailable:
                continue
            for event in events:
                notes.write(f"{event.id} {event.originator_id} {event.originator_version}\n")
                seen, topic = event.id, event.topic
            if not events:
                sleep(0.005)


def main() -> None:
    role, url, report = sys.argv[1:]
    done = Event()

    def watch() -> None:
        sys.stdin.read()
        done.set()

    Thread(target=watch, daemon=True).start()
    with ExitStack() as opened:
        log = open_log(url, opened)
        {"append": append, "follow": follow}[role](log, Path(report), done)


if __name__ == "__main__":
    main()
