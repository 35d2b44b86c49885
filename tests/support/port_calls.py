"""One call of every method of every port, on a store with a past."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count, islice
from threading import Event
from typing import Any, Final

from eventsourcing.persistence import StoredEvent

from infrastructure.jobs import Job
from infrastructure.journal.entries import JournalEntry
from infrastructure.legacy_usage import LegacyCalls
from infrastructure.log.ordered_log import StoredAnswer
from infrastructure.stores import Stores
from projections.audit.search import AuditFilter
from projections.running.projection import Parked, Skipped, ViewChange, ViewStep
from projections.tickets.search import TicketFilter, TicketSearch
from projections.versions.registry import Build
from tests.support.view_rows import ACME, START, entry, id_, ticket

_numbers = count(1_000)

_EVERYBODY: Final = TicketFilter(org_id=None)
_EVERYTHING: Final = AuditFilter(org_id=None)
_PARKED: Final = Parked(id_(7), 1, "ValueError: parked", START)


@dataclass(frozen=True)
class PortCall:
    """`call` is made with the store and what `before` made of it."""

    call: Callable[[Stores, Any], object]
    before: Callable[[Stores], Any] = lambda stores: None


def _event(version: int = 1) -> StoredEvent:
    return StoredEvent(id_(next(_numbers)), version, "counted", b"{}")


def commit_one(stores: Stores) -> int:
    """One event more in the log; its position."""
    head = stores.log.head()
    stores.log.commit(head, [_event()])
    return head + 1


def _commit(stores: Stores, head: int) -> object:
    return stores.log.commit(head, [_event()], [StoredAnswer(f"key {next(_numbers)}", b"{}")])


def _job(state: Any = "running") -> Job:
    return Job(id_(next(_numbers)), "rebuild", "tickets", state, "ada", None, START)


def _calls() -> LegacyCalls:
    return LegacyCalls(f"caller {next(_numbers)}", "create", 1, START, START)


def _entry() -> JournalEntry:
    return JournalEntry(START, "ada", ACME, "audit.searched", {}, "request")


def _build(stores: Stores) -> Build:
    """A version of the audit view that is being built."""
    return stores.audit.begin(1, 1)


def _no_build(stores: Stores) -> None:
    building = stores.audit.registry().building
    if building:
        stores.audit.forget(building.version)


def _built(stores: Stores) -> int:
    """A version of the audit view that may become the live one."""
    _no_build(stores)
    version = _build(stores).version
    stores.audit.view(version).complete(1_000_000)
    return version


def _forgotten(stores: Stores) -> int:
    version = _build(stores).version
    stores.audit.forget(version)
    return version


def _watch(stores: Stores, _: Any) -> object:
    watcher: Any = stores.watcher
    watcher._poll = 0.02
    stop = Event()
    changes = watcher.changes(stop)
    try:
        return list(islice(changes, 2))
    finally:
        stop.set()
        changes.close()


def _of_view(name: str, row: Any, read: Any) -> dict[str, PortCall]:
    """The calls of a view's methods; `row` and the key `read` are one of its rows."""

    def view(stores: Stores) -> Any:
        return getattr(stores, name).view(1)

    def taken(stores: Stores) -> tuple[int, int]:
        fence = next(_numbers) * 1_000
        return fence, view(stores).take_over(fence)

    def change(position: int) -> ViewChange[Any]:
        return ViewChange(position, position, [(row.ticket_id, row.row)], [_PARKED], [id_(8)])

    def building(stores: Stores) -> Any:
        if name == "tickets":
            return stores.tickets.view(stores.tickets.begin(1, 1).version)
        _no_build(stores)
        return stores.audit.view(_build(stores).version)

    return {
        f"{name}.apply": PortCall(lambda s, t: view(s).apply(change(t[1]), t[0]), taken),
        f"{name}.checkpoint": PortCall(lambda s, _: view(s).checkpoint()),
        f"{name}.complete": PortCall(lambda _, v: v.complete(5), building),
        f"{name}.latest": PortCall(lambda s, _: view(s).latest([row.ticket_id, id_(2)])),
        f"{name}.load": PortCall(
            lambda _, v: v.load(0, 5, [(row.ticket_id, row.row)], [_PARKED]), building
        ),
        f"{name}.loaded": PortCall(lambda s, _: view(s).loaded()),
        f"{name}.mend": PortCall(lambda s, t: view(s).mend({read: row.row}, t[0]), taken),
        f"{name}.misfiled": PortCall(lambda s, _: list(view(s).misfiled())),
        f"{name}.parked": PortCall(lambda s, _: view(s).parked()),
        f"{name}.rows": PortCall(lambda s, _: list(view(s).rows())),
        f"{name}.stored": PortCall(lambda s, _: view(s).stored([read])),
        f"{name}.take_over": PortCall(lambda s, t: view(s).take_over(t[0] + 1), taken),
    }


@dataclass(frozen=True)
class _Row:
    ticket_id: str
    row: Any


def _step(stores: Stores) -> list[ViewStep[Any]]:
    fence, view = next(_numbers) * 1_000, stores.tickets.view(1)
    position = view.take_over(fence)
    change = ViewChange(position, position, [(id_(50), ticket(50))])
    return [ViewStep(view, change, fence)]


def _take_steps(stores: Stores, steps: list[ViewStep[Any]]) -> object:
    if stores.take_steps is None:
        return None
    (error,) = stores.take_steps(steps)
    if error:
        raise error
    return None


def _forget_time(stores: Stores) -> None:
    clock: Any = stores.clock
    if clock:
        clock.__wrapped__._known = None


CALLS: Final[Mapping[str, PortCall]] = {
    "log.answers": PortCall(lambda s, _: s.log.answers(["a key", "another"])),
    "log.at": PortCall(lambda s, _: s.log.at([1, 3, 5])),
    "log.commit": PortCall(_commit, lambda s: s.log.head()),
    "log.ending": PortCall(lambda s, _: s.log.ending()),
    "log.head": PortCall(lambda s, _: s.log.head()),
    "log.read": PortCall(lambda s, _: s.log.read(1, 10)),
    "log.scan": PortCall(lambda s, _: list(s.log.scan())),
    "log.streams": PortCall(lambda s, _: s.log.streams([id_(1), id_(4)])),
    **_of_view("tickets", _Row(id_(50), ticket(50)), id_(50)),
    "tickets.find": PortCall(lambda s, _: s.tickets.view(1).find(_EVERYBODY, None, 10)),
    "tickets.search": PortCall(
        lambda s, _: s.tickets.view(1).search(TicketSearch(_EVERYBODY), None, 10)
    ),
    "tickets.get": PortCall(lambda s, _: s.tickets.view(1).get(id_(4))),
    **_of_view("audit", _Row(id_(1), entry(1)), 1),
    "audit.between": PortCall(lambda s, _: s.audit.view(1).between([id_(4), id_(5)], 0, 100)),
    "audit.page": PortCall(
        lambda s, _: s.audit.view(1).page(_EVERYTHING, beyond=None, limit=5, newest_first=True)
    ),
    "audit.position_at": PortCall(lambda s, _: s.audit.view(1).position_at(START)),
    "audit.search": PortCall(
        lambda s, _: s.audit.view(1).search(_EVERYTHING, beyond=None, limit=5, newest_first=True)
    ),
    "audit.tickets_at": PortCall(
        lambda s, _: s.audit.view(1).tickets_at(10, _EVERYBODY, beyond=None, limit=5)
    ),
    "versions.begin": PortCall(lambda s, _: s.audit.begin(1, 1), _no_build),
    "versions.control": PortCall(lambda s, _: s.audit.control(paused=True, rate=5), _build),
    "versions.drop": PortCall(lambda s, v: s.audit.drop(v), _forgotten),
    "versions.forget": PortCall(lambda s, b: s.audit.forget(b.version), _build),
    "versions.leftovers": PortCall(lambda s, _: s.audit.leftovers()),
    "versions.publish": PortCall(lambda s, _: s.tickets.publish()),
    "versions.registry": PortCall(lambda s, _: s.audit.registry()),
    "versions.rehearse_drop": PortCall(lambda s, _: s.tickets.rehearse_drop()),
    "versions.rehearse_switch": PortCall(lambda s, _: s.tickets.rehearse_switch()),
    "versions.skip": PortCall(
        lambda s, _: s.audit.skip(Skipped(next(_numbers), id_(1), "ada", "by hand", START))
    ),
    "versions.skipped": PortCall(lambda s, _: s.audit.skipped()),
    "versions.switch": PortCall(lambda s, v: s.audit.switch(v), _built),
    "versions.view": PortCall(lambda s, _: s.audit.view(1)),
    "leases.acquire": PortCall(lambda s, _: s.leases.acquire("one", "ada", 3.0)),
    "leases.current": PortCall(
        lambda s, _: s.leases.current("one"), lambda s: s.leases.seize("one", "ada", 3.0)
    ),
    "leases.release": PortCall(
        lambda s, _: s.leases.release("one", "ada"), lambda s: s.leases.seize("one", "ada", 3.0)
    ),
    "leases.seize": PortCall(lambda s, _: s.leases.seize("one", "ada", 3.0)),
    "watcher.changes": PortCall(_watch),
    "journal.append": PortCall(lambda s, _: s.journal.append([_entry(), _entry()])),
    "journal.read": PortCall(lambda s, _: s.journal.read(ACME, beyond=None, limit=3)),
    "jobs.find": PortCall(lambda s, job: s.jobs.find(job), lambda s: s.jobs.keep(_job())),
    "jobs.keep": PortCall(lambda s, _: s.jobs.keep(_job())),
    "jobs.latest": PortCall(lambda s, _: s.jobs.latest(None, 3)),
    "legacy_usage.add": PortCall(lambda s, _: s.legacy_usage.add([_calls()])),
    "legacy_usage.all": PortCall(lambda s, _: s.legacy_usage.all()),
    "stores.clock": PortCall(lambda s, _: s.clock and s.clock(), _forget_time),
    "stores.take_steps": PortCall(_take_steps, _step),
    "notes.find": PortCall(
        lambda s, _: s.notes.find("a note"), lambda s: s.notes.keep("a note", 1)
    ),
    "notes.forget": PortCall(lambda s, _: s.notes.forget("a note")),
    "notes.keep": PortCall(lambda s, _: s.notes.keep("a note", {"n": 1})),
}
"""By the method's name in `METHODS`."""

WITHOUT_DRIVER: Final = {
    "sqlite": (
        "stores.clock",
        "versions.publish",
        "versions.rehearse_drop",
        "versions.rehearse_switch",
        "versions.view",
    ),
    "mongodb": ("stores.take_steps", "tickets.misfiled", "audit.misfiled", "versions.view"),
}
"""Methods that ask nothing of the driver."""
