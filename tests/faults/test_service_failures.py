"""While one method of the store fails, the service goes on: it answers, it tells its state, it
loses nothing that it acknowledged, it shows nothing old; and operators' commands say what is
wrong."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from domain.errors import TicketbookError
from tests.support.databases import DatabasePool
from tests.support.driver_failures import MONGODB, SQLITE, Failure
from tests.support.failing_service import FailingService, failing_service
from tests.support.failing_store import METHODS
from tests.support.port_calls import WITHOUT_DRIVER
from tests.support.server import until

Way = Callable[[FailingService], None]


def get(path: str) -> Way:
    return lambda service: service.get(path)


def post(path: str) -> Way:
    return lambda service: service.post(path)


def command(line: str, *, finds: bool = False) -> Way:
    return lambda service: service.command(*line.split(), finds=finds)


ALWAYS: Final[tuple[Way, ...]] = (
    FailingService.create,
    FailingService.rename,
    FailingService.read_back,
    get("/v1/tickets?limit=2"),
    get("/v1/audit?limit=2"),
    FailingService.health,
)
"""What goes on whatever fails."""

STATUS: Final = command("projections status", finds=True)
VERIFY: Final = command("projections verify", finds=True)
REBUILD: Final = command("projections rebuild tickets")
REBUILD_AUDIT: Final = command("projections rebuild audit")
ROLL_BACK: Final = command("projections rollback tickets")
DROP_OLD: Final = command("projections drop-old")
SEARCH: Final = command("audit search --limit 1")
PAST: Final = get("/v1/tickets?at=2024-08-23T03:52:50.891Z&limit=2")
JOB: Final = post("/v1/projections/tickets/verify")


def job_to_its_end(service: FailingService) -> None:
    JOB(service)
    with suppress(TicketbookError):  # nobody can read the record
        until(service.jobs_have_ended)


def job(service: FailingService) -> None:
    """One that was started before."""
    jobs = service.served.service.jobs.latest(None, 1)
    service.get(f"/v1/operations/{jobs[0].id}")


BUILDING: Final = ("complete", "load", "loaded")
COMPARING: Final = ("rows", "misfiled", "stored")

WAYS: Final[Mapping[str, tuple[Way, ...]]] = {
    **{f"tickets.{method}": (REBUILD,) for method in BUILDING},
    **{f"audit.{method}": (REBUILD_AUDIT,) for method in BUILDING},
    **{f"{view}.{method}": (VERIFY,) for view in ("tickets", "audit") for method in COMPARING},
    "log.at": (get("/v1/audit/export?beforePosition=5"),),
    "log.ending": (get("/v1/audit/head"), command("audit head")),
    "log.head": (STATUS, SEARCH),
    "log.read": (VERIFY,),
    "log.scan": (command("audit verify"),),
    "log.streams": (get(f"/v1/tickets/{1:024x}?at=2024-08-23T03:52:50.891Z"),),
    "tickets.parked": (STATUS,),
    "tickets.search": (get("/v1/tickets?nameContains=shift"),),
    "tickets.take_over": (ROLL_BACK,),
    "audit.between": (get("/v1/diff?from=1&to=5"),),
    "audit.position_at": (PAST,),
    "audit.search": (get(f"/v1/tickets/{1:024x}/history"),),
    "audit.tickets_at": (PAST,),
    "versions.begin": (REBUILD,),
    "versions.control": (post("/v1/projections/tickets/pause"),),
    "versions.drop": (DROP_OLD,),
    "versions.forget": (DROP_OLD,),
    "versions.leftovers": (DROP_OLD,),
    "versions.publish": (REBUILD,),
    "versions.registry": (STATUS,),
    "versions.rehearse_drop": (DROP_OLD,),
    "versions.rehearse_switch": (REBUILD,),
    "versions.skipped": (VERIFY,),
    "versions.switch": (REBUILD, ROLL_BACK),
    "leases.acquire": (JOB,),
    "leases.current": (STATUS, job),
    "leases.release": (job_to_its_end,),
    "leases.seize": (ROLL_BACK,),
    "journal.append": (get("/v1/audit/head"), STATUS, VERIFY),
    "journal.read": (get("/v1/audit/reads"),),
    "jobs.find": (job,),
    "jobs.keep": (JOB,),
    "jobs.latest": (get("/v1/operations"),),
    "legacy_usage.all": (command("legacy usage"),),
    "notes.find": (command("migrate status"),),
}
"""Beside these: what else makes the service call the method, over HTTP and by a command."""

BEFORE: Final = frozenset(
    {"leases.seize", "tickets.take_over", "versions.drop", "versions.forget", "versions.switch"}
)
"""The methods that need a version that is kept beside the live one."""

DOWN: Final = frozenset(
    {
        "log.head",
        "log.read",
        "tickets.apply",
        "tickets.checkpoint",
        "audit.apply",
        "audit.checkpoint",
        "versions.registry",
        "leases.acquire",
        "leases.current",
    }
)
"""The methods without which views do not move, or nobody knows whether they do."""


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FailingService]:
    if request.param == "sqlite":
        path: Path = tmp_path_factory.mktemp("failing") / "ticketbook.db"
        with failing_service(f"sqlite:///{path}") as running:
            yield running
        return
    databases: DatabasePool = request.getfixturevalue("databases")
    with databases.empty() as database, failing_service(databases.url(database)) as running:
        yield running


KINDS: Final = {
    "sqlite": ("locked", "corrupt", "constraint"),
    "mongodb": ("13 Unauthorized", "no answer", "writeErrors (11000,)"),
}
"""One failure of each kind that the ports make of the driver's: `test_port_failures.py`."""

UNCALLED: Final = frozenset(
    {
        "tickets.apply",  # SQLite takes the steps of both views together
        "audit.apply",
        "tickets.mend",
        "tickets.take_over",
        "audit.mend",
        "audit.take_over",
        "versions.skip",
        "versions.view",
        "leases.seize",
        "watcher.changes",
        "legacy_usage.add",
        "notes.find",
        "notes.forget",
        "notes.keep",
        "stores.clock",
        *WITHOUT_DRIVER["sqlite"],
        *WITHOUT_DRIVER["mongodb"],
    }
)
"""The methods that none of this makes the service call, on one store or on both: repairs of what
is not damaged, steps of a migration, and what a service asks at its start."""


def failures(service: FailingService) -> list[Failure]:
    every = SQLITE if service.name == "sqlite" else MONGODB
    return [failure for failure in every if failure.name in KINDS[service.name]]


def faults(service: FailingService, method: str, failure: Failure) -> tuple[int, list[str]]:
    """How often the driver failed, and what was wrong about it."""
    if method in BEFORE:
        REBUILD(service)
    with service.failure(method, failure) as armed:
        for way in (*ALWAYS, *WAYS.get(method, ())):
            way(service)
        if armed.hits and method in DOWN:
            until(service.is_unready)
    service.nothing_is_lost()
    return armed.hits, [f"{failure}: {fault}" for fault in service.faults]


@pytest.mark.parametrize("method", METHODS)
def test_the_service_goes_on_while_a_method_of_the_store_fails(
    service: FailingService, method: str
) -> None:
    if method in WITHOUT_DRIVER[service.name]:
        return
    turn, kinds = METHODS.index(method), failures(service)
    hits, found = 0, list[str]()
    for failure in kinds[turn % len(kinds) :] + kinds[: turn % len(kinds)]:
        hits, found = faults(service, method, failure)
        assert not found, "\n".join(found)
        if hits or method in UNCALLED:
            break
    assert hits or method in UNCALLED


@pytest.mark.exhaustive
@pytest.mark.parametrize("method", METHODS)
def test_the_service_goes_on_whatever_the_driver_raises(
    service: FailingService, method: str
) -> None:
    for failure in SQLITE if service.name == "sqlite" else MONGODB:
        _, found = faults(service, method, failure)
        assert not found, "\n".join(found)
