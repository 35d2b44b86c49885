"""A store on which one method of one port fails, in this process, at the call of the driver that a
test chooses.

    with failing(store_url) as store, serving(store.url) as served:
        with store.failure("log.commit", failure):
            ...  # every call of the driver inside `OrderedLog.commit` fails

The methods are those of the ports themselves: `METHODS` lists them from their signatures.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, fields
from functools import wraps
from inspect import isgeneratorfunction
from threading import Lock, current_thread, local
from typing import Any, Final
from unittest.mock import patch

import watchfiles
from pymongo import common

from infrastructure.jobs import Jobs
from infrastructure.journal.entries import Journal
from infrastructure.legacy_usage import LegacyUsage
from infrastructure.log.ordered_log import OrderedLog
from infrastructure.mongodb import journal, versions, views
from infrastructure.mongodb.log import PATIENCE, MongoDBLog
from infrastructure.stores import AuditView, Notes, Stores, TicketsView, Watcher
from projections.running.projection import Leases
from projections.versions.registry import Versions
from tests.support.driver_calls import Listener, Send, Transactions, listening, written
from tests.support.driver_failures import Failure, Place
from tests.support.view_rows import open_store

PORTS: Final[Mapping[str, type]] = {
    "log": OrderedLog,
    "tickets": TicketsView,
    "audit": AuditView,
    "versions": Versions,
    "leases": Leases,
    "watcher": Watcher,
    "journal": Journal,
    "jobs": Jobs,
    "legacy_usage": LegacyUsage,
    "notes": Notes,
}


def methods(port: type) -> list[str]:
    """The methods that a port promises, its own and those of the ports that it extends."""
    promised = {
        name
        for kind in port.__mro__
        if getattr(kind, "_is_protocol", False)
        for name, member in vars(kind).items()
        if callable(member) and not name.startswith("_")
    }
    return sorted(promised)


FUNCTIONS: Final = tuple(
    part.name for part in fields(Stores) if part.name not in {*PORTS, "tickets", "audit"}
)
"""The parts of a store that are functions: each may be None."""

METHODS: Final = (
    *(f"{name}.{method}" for name, port in PORTS.items() for method in methods(port)),
    *(f"stores.{name}" for name in FUNCTIONS),
)
"""Every method of every port, like `log.commit`, and every function, like `stores.clock`."""

_PLACES: Final[Mapping[str, tuple[Place, ...]]] = {
    **dict.fromkeys(("find", "aggregate", "getMore"), ("row",)),
    **dict.fromkeys(("insert", "update", "delete"), ("write", "report")),
    **dict.fromkeys(("findAndModify", "bulkWrite"), ("write",)),
}
"""The places of MongoDB's commands, beside `call`."""

_IMPATIENT: Final = 0.2
"""Seconds for which a command is tried again that fails for as long as the test wants."""

_POLLING: Final = "&serverMonitoringMode=poll"
"""A server that did not really step down has no news of it: the driver must ask."""

_LISTENER: Final = "change-stream"
"""The thread that hears of changes on behalf of `Watcher.changes`."""


@dataclass
class Armed:
    """A failure that waits for its method: at its driver call number `at`, or at every one.
    `calls` counts those that the method made, `hits` those that failed."""

    method: str
    failure: Failure | None
    at: int | None = None
    calls: int = 0
    hits: int = 0
    lock: Lock = field(default_factory=Lock)

    def strikes(self) -> bool:
        with self.lock:
            self.calls += 1
            if self.failure is None or self.at not in (None, self.calls):
                return False
            self.hits += 1
            return True


class FailingStore(Listener):
    """All stores that are opened while `failing` lasts. `url` is the address to open."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.patience = PATIENCE
        self._armed: Armed | None = None
        self._local = local()
        self._transactions = Transactions()

    @contextmanager
    def failure(
        self, method: str, failure: Failure | None, at: int | None = None
    ) -> Iterator[Armed]:
        """Have the driver fail inside a method; with no failure, count its calls."""
        assert self._armed is None, "one at a time"
        armed = self._armed = Armed(method, failure, at)
        try:
            with (
                patch.object(self, "patience", _IMPATIENT),
                patch.object(views, "PATIENCE", _IMPATIENT),
                patch.object(versions, "PATIENCE", _IMPATIENT),
                patch.object(journal, "_PATIENCE", _IMPATIENT),
            ):
                yield armed
        finally:
            self._armed = None

    def connects(self) -> None:
        self._strike({"call"}, {})

    def executes(self, connection: Any, sql: str) -> None:
        if sql == "COMMIT":
            writes, connection.changed = connection.changed, False
        else:
            writes = bool(written(sql))
            connection.changed = connection.in_transaction and (writes or connection.changed)
        self._strike({"call", "write"} if writes else {"call"}, {})

    def fetches(self, connection: Any) -> None:
        self._strike({"row"}, {})

    def sends(self, name: str, command: Mapping[str, Any], send: Send) -> Any:
        reply = self._strike({"call", *_PLACES.get(name, ())}, command)
        if reply is None:
            reply = send()
            self._transactions.note(name, command)
        return reply

    def a_minute_passes(self) -> None:
        """After that long MongoDB gives up on transactions whose end failed too."""
        self._transactions.a_minute_passes(self.url)

    def watches(self) -> None:
        """Watching files is what a watcher on SQLite asks of the system."""
        self._strike({"call"}, {})

    def _strike(self, places: Collection[Place], command: Mapping[str, Any]) -> Any:
        armed = self._armed
        if armed is None or not self._is_inside(armed.method):
            return None
        if armed.failure and armed.failure.place not in places:
            return None
        return armed.failure.strike(command) if armed.strikes() and armed.failure else None

    def _is_inside(self, method: str) -> bool:
        if method in getattr(self._local, "methods", ()):
            return True
        return method == "watcher.changes" and current_thread().name == _LISTENER

    @contextmanager
    def _inside(self, method: str) -> Iterator[None]:
        inside: list[str] = self._local.__dict__.setdefault("methods", [])
        inside.append(method)
        try:
            yield
        finally:
            inside.pop()

    def wrapped(self, method: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, known by its port's name while it runs."""

        @wraps(function)
        def called(*arguments: Any, **named: Any) -> Any:
            with self._inside(method):
                return function(*arguments, **named)

        @wraps(function)
        def generated(*arguments: Any, **named: Any) -> Iterator[Any]:
            with closing(function(*arguments, **named)) as items:
                while True:
                    with self._inside(method):
                        try:
                            item = next(items)
                        except StopIteration:
                            return
                    yield item

        return generated if isgeneratorfunction(function) else called


@contextmanager
def failing(store_url: str) -> Iterator[FailingStore]:
    """Have the stores that are opened in the block fail as they are told."""
    store = FailingStore(store_url if store_url.startswith("sqlite:") else store_url + _POLLING)
    with open_store(store_url) as opened:  # makes it, and shows the classes
        kinds = {name: type(_part(opened.stores, name)) for name in PORTS}
    with ExitStack() as hooks:
        hooks.enter_context(listening(store))
        hooks.enter_context(patch.object(common, "MIN_HEARTBEAT_INTERVAL", 0.01))
        patience = property(lambda log: store.patience, lambda log, seconds: None)
        hooks.enter_context(patch.object(MongoDBLog, "_patience", patience, create=True))
        hooks.enter_context(patch.object(watchfiles, "watch", _watching(store, watchfiles.watch)))
        hooks.enter_context(patch.object(Stores, "__init__", _making(store, Stores.__init__)))
        for name, port in PORTS.items():
            for method in methods(port):
                function = getattr(kinds[name], method)
                wrapped = store.wrapped(f"{name}.{method}", function)
                hooks.enter_context(patch.object(kinds[name], method, wrapped))
        yield store


def _part(stores: Stores, name: str) -> Any:
    match name:
        case "versions":
            return stores.tickets
        case "tickets" | "audit":
            return getattr(stores, name).view(1)
        case _:
            return getattr(stores, name)


def _making(store: FailingStore, make: Callable[..., None]) -> Callable[..., None]:
    def made(stores: Stores, **parts: Any) -> None:
        for name in FUNCTIONS:
            if parts[name] is not None:
                parts[name] = store.wrapped(f"stores.{name}", parts[name])
        make(stores, **parts)

    return made


def _watching(store: FailingStore, watch: Callable[..., Any]) -> Callable[..., Any]:
    def watching(*arguments: Any, **named: Any) -> Iterator[Any]:
        store.watches()
        yield from watch(*arguments, **named)

    return watching
