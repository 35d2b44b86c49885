"""A store that dies at its n-th write, n = 1 … all, in this process.

    for death in deaths([store_url], command):
        ...  # the store is what a process left that was killed at that write: go on with it

One place below everything sees each write: a connection of SQLite counts every statement that
writes and every COMMIT, pymongo every command that changes something. From the n-th on nothing
reaches the store, and whoever asks it for anything gets `Died`. What was not committed is rolled
back on SQLite, and on MongoDB left open, both as `kill -9` does.

A write that happened though its answer was lost needs no round of its own: nothing happens between
it and the next write, so it is the death at that one; after the last write it is the last round,
in which nothing dies.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from threading import Lock
from typing import Any, Final, TypeVar
from unittest.mock import patch

from domain.errors import StoreUnavailable
from infrastructure.log.group_commit import GroupCommit
from tests.support.driver_calls import Listener, Send, Transactions, listening, written
from tests.support.snapshot import Snapshot, snapshot

T = TypeVar("T")

_MOST: Final = 2_000
"""More writes than any command here makes: it would not end."""

_COMMANDS: Final = frozenset(
    {
        "bulkWrite",
        "collMod",
        "commitTransaction",
        "create",
        "createIndexes",
        "delete",
        "drop",
        "dropDatabase",
        "dropIndexes",
        "findAndModify",
        "insert",
        "killSessions",
        "renameCollection",
        "update",
    }
)

_FAREWELLS: Final = frozenset({"endSessions", "killCursors"})
"""What a client says when it is closed: a dead one says nothing."""


class Died(BaseException):
    """The process is no more: nobody may handle this."""


class DyingStore(Listener):
    """Every store that is opened while `dying` lasts. `writes` names those that were let through,
    and the one that was not."""

    def __init__(self, at: int | None) -> None:
        self.writes: list[str] = []
        self.counting = True
        self.dead = False
        self.connections: list[sqlite3.Connection] = []
        self.transactions = Transactions()
        self._at = at
        self._lock = Lock()

    def write(self, name: str) -> None:
        """Count a write, or die of it."""
        with self._lock:
            if self.dead:
                raise Died
            if self.counting:
                self.writes.append(name)
                if len(self.writes) == self._at:
                    self.dead = True
                    raise Died

    def read(self) -> None:
        if self.dead:
            raise Died

    def connects(self) -> None:
        self.read()

    def connected(self, connection: sqlite3.Connection) -> None:
        self.connections.append(connection)

    def executes(self, connection: Any, sql: str) -> None:
        try:
            if sql == "COMMIT":
                changed, connection.changed = connection.changed, False
                self.write(sql) if changed else self.read()
            elif word := written(sql):
                connection.changed = connection.in_transaction
                self.write(word)
            else:
                self.read()
        except Died:
            connection.changed = False
            sqlite3.Connection.rollback(connection)
            raise

    def sends(self, name: str, command: Mapping[str, Any], send: Send) -> Any:
        if self.dead and name in _FAREWELLS:
            return [{"ok": 1}], None, 0.0
        writes = name in _COMMANDS or (name == "aggregate" and _stores(command))
        self.write(name) if writes else self.read()
        answer = send()
        self.transactions.note(name, command)
        return answer


@contextmanager
def dying(at: int | None = None) -> Iterator[DyingStore]:
    """Have the stores that are opened in the block die at write number `at`; never by default."""
    store = DyingStore(at)
    with ExitStack() as hooks:
        hooks.enter_context(listening(store))
        hooks.enter_context(patch.object(GroupCommit, "_answer", _answering(GroupCommit._answer)))
        hooks.enter_context(patch.object(threading, "excepthook", _ending(threading.excepthook)))
        try:
            yield store
        finally:
            for connection in store.connections:  # as the system does when a process ends
                connection.close()


class Death:
    """A process that died at its write `number`, or `never` did, in the last round. `writes` names
    its writes up to there."""

    def __init__(self, number: int, store: DyingStore, urls: Sequence[str]) -> None:
        self.number = number
        self.never = not store.dead
        self.writes = list(store.writes)
        self._transactions = store.transactions
        self._urls = [url for url in urls if not url.startswith("sqlite:")]

    def a_minute_passes(self) -> None:
        """After that long MongoDB gives up on the transactions that the dead process left open."""
        for url in self._urls:
            self._transactions.a_minute_passes(url)

    def __repr__(self) -> str:
        return f"death at write {self.number}, {self.writes[-1:]}"


def deaths(
    urls: Sequence[str],
    command: Callable[[T], object],
    opening: Callable[[], AbstractContextManager[T]] = nullcontext,  # type: ignore[assignment]
) -> Iterator[Death]:
    """Run the command again and again, each time on the stores as they are now: it dies at its
    first write, then at its second, and so on until it comes to its end. `opening` makes what the
    command is given; the writes of that do not count.

    Each time go on from what it left. What was open in the dead process is closed by then.
    """
    before = [snapshot(url) for url in urls]
    try:
        for number in range(1, _MOST):
            death = Death(number, _run(number, command, opening), urls)
            yield death
            death.a_minute_passes()
            if death.never:
                assert number > 1, "it writes nothing"
                return
            for kept in before:
                kept.restore()
        raise AssertionError(f"still writing after {_MOST} writes")
    finally:
        _close(before)


def _close(kept: Sequence[Snapshot]) -> None:
    for one in kept:
        one.close()


def _run(
    at: int, command: Callable[[T], object], opening: Callable[[], AbstractContextManager[T]]
) -> DyingStore:
    with dying(at) as store:
        store.counting = False
        try:
            with opening() as opened:
                store.counting = True
                command(opened)
                assert not store.dead, "it ended well, and its store was dead"
        except AssertionError:
            raise
        except (Died, Exception, SystemExit):
            if not store.dead:
                raise
    return store


def _stores(aggregation: Mapping[str, Any]) -> bool:
    return any(stage.keys() & {"$out", "$merge"} for stage in aggregation["pipeline"])


def _answering(answer: Callable[..., bool]) -> Callable[..., bool]:
    def answered(group: Any, batch: Any) -> bool:
        try:
            return answer(group, batch)
        except Died:  # on a thread of its own: those who wait for it must not wait for ever
            for _, tell in batch:
                tell(StoreUnavailable("The store died."))
            return False

    return answered


def _ending(hook: Callable[..., object]) -> Callable[..., None]:
    def ended(arguments: Any) -> None:
        if arguments.exc_type is not Died:
            hook(arguments)

    return ended
