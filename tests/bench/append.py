"""Appending single events from many threads of one process."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from bson import ObjectId
from eventsourcing.persistence import StoredEvent

from infrastructure.log.appender import Appender
from infrastructure.log.ordered_log import OrderedLog
from infrastructure.mongodb.client import connect, database
from infrastructure.mongodb.log import MongoDBLog
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.log import SQLiteLog
from tests.bench.counter_recorder import CounterRecorder
from tests.bench.emmett import emmett
from tests.bench.load import Contestant, interleave, threads
from tests.bench.plan import Plan
from tests.bench.recorders import postgres_recorder, sqlite_recorder, synchronous
from tests.bench.setup import NotHere
from tests.bench.table import Part, at_most, faster, missing, shown

WRITERS: Final = 64
STATE: Final = b"0123456789abcdef" * 19
"""About as much as an event of a ticket takes."""

_EMMETT: Final = "emmett-mongodb"
_POSTGRES: Final = "eventsourcing's PostgreSQL recorder"
_COUNTER: Final = "transaction + counter"


def append_to_mongodb(uri: str, plan: Plan) -> Part:
    """Group commit against other ways to append, 64 writers each."""
    name = f"bench_{ObjectId()}"
    with ExitStack() as stack:
        client = stack.enter_context(connect(uri))
        stack.callback(client.drop_database, name)
        store = database(client, name)
        append = stack.enter_context(_appending(MongoDBLog(store)))
        contestants = {f"ours {n}": threads(append, n) for n in (1, 16, WRITERS, 200)}
        counter = CounterRecorder(store)
        contestants[_COUNTER] = threads(lambda: counter.append(_event()), WRITERS)
        absent: dict[str, str] = {}
        for other, opened in _others(uri, name).items() if plan.others else ():
            try:
                contestants[other] = stack.enter_context(opened)
            except NotHere as reason:
                absent[other] = str(reason)
        found = interleave(contestants, plan)
    rows = [shown(f"append to MongoDB, {n} writers", found[f"ours {n}"]) for n in (1, 16, 64, 200)]
    for other, times in ((_COUNTER, 10), (_EMMETT, 5), (_POSTGRES, 5)):
        what = f"append to MongoDB, {WRITERS} writers / {other}"
        if other in found:
            rows.append(faster(what, found[f"ours {WRITERS}"], found[other], times))
        elif other in absent:
            rows.append(missing(what, f">= {times} x", absent[other]))
    p99 = "append to MongoDB, p99 of 200 writers / of 16"
    rows.append(at_most(p99, found["ours 200"].p99, found["ours 16"].p99, 3))
    return Part(tuple(rows), ("MongoDB: one member, majority and journaled, for ours and others.",))


def append_to_sqlite(folder: Path, plan: Plan) -> Part:
    """Group commit against the library's own recorder, 64 writers each."""
    with ExitStack() as stack:
        store = stack.enter_context(closing(SQLiteDatabase(folder / "ours.db")))
        append = stack.enter_context(_appending(SQLiteLog(store)))
        recorder = stack.enter_context(sqlite_recorder(folder / "theirs.db"))
        found = interleave(
            {
                "ours": threads(append, WRITERS),
                "theirs": threads(lambda: recorder.insert_events([_event()]), WRITERS),
            },
            plan,
        )
        note = f"SQLite: synchronous is FULL for ours, {synchronous(recorder)} for the library's."
    what = f"append to SQLite, {WRITERS} writers"
    against = faster(f"{what} / eventsourcing's SQLite recorder", found["ours"], found["theirs"], 3)
    return Part((shown(what, found["ours"]), against), (note,))


def _others(uri: str, name: str) -> dict[str, AbstractContextManager[Contestant]]:
    return {
        _EMMETT: emmett(f"{uri}&w=majority&journal=true", name, STATE, WRITERS),
        _POSTGRES: _postgres(),
    }


@contextmanager
def _postgres() -> Iterator[Contestant]:
    with postgres_recorder() as recorder:
        yield threads(lambda: recorder.insert_events([_event()]), WRITERS)


@contextmanager
def _appending(log: OrderedLog) -> Iterator[Callable[[], object]]:
    with closing(Appender(log)) as appender:
        yield lambda: appender.append([_event()])


def _event() -> StoredEvent:
    """The first of a new stream."""
    return StoredEvent(str(ObjectId()), 1, "ticket.created", STATE)
