"""Rebuilding the view of the tickets, beside reading the same events and doing nothing else, and
beside applying them one transaction each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

from bson import ObjectId

from api.composition import open_service, open_stores
from api.use_cases.workers import Workers, partition_count
from infrastructure.configuration.settings import Settings, load_settings
from infrastructure.ids import holder
from infrastructure.log.ticket_log import TicketLog
from infrastructure.mongodb.client import connect
from projections.running.applier import Applier
from projections.versions.followed import LiveProjection
from projections.versions.outcome import Step
from projections.versions.rebuild import RebuildContext, rebuild
from tests.bench.history import fill
from tests.bench.plan import Plan
from tests.bench.table import Part, Row, at_least

_STRETCH: Final = 5_000
_SINGLE: Final = 1_000
"""Events that are applied one transaction each."""


def rebuild_on_mongodb(uri: str, plan: Plan) -> Part:
    name = f"bench_{ObjectId()}"
    address = urlsplit(uri)._replace(path=f"/{name}").geturl()
    try:
        return _measured("MongoDB", address, plan)
    finally:
        with connect(uri) as client:
            client.drop_database(name)


def rebuild_on_sqlite(folder: Path, plan: Plan) -> Part:
    return _measured("SQLite", f"sqlite:///{folder / 'rebuild.db'}", plan)


def _measured(store: str, address: str, plan: Plan) -> Part:
    secret = {"TICKETBOOK_AUTH_SECRET": "0123456789abcdef" * 2}
    settings = load_settings({"TICKETBOOK_STORE": address, **secret})
    with open_stores(settings) as stores:
        fill(stores.log, plan.events)
    with _opened(settings) as live:
        single = _one_by_one(live)
        reading = plan.events / min(_read(settings), _read(settings))
        built = _build(settings, live, plan.events)
        whole = _rebuild(settings, live, plan.events, lambda _: None)
    what = f"rebuild of tickets on {store}, {plan.events:,} events"
    return Part(
        (
            at_least(f"{what} / reading and decoding them", built, reading, 0.6),
            at_least(f"{what} / one transaction per event", built, single, 10),
            Row(f"{what}, with both comparisons", f"{whole:,.0f}/s"),
        ),
        (
            f"Rebuild on {store}: {partition_count()} process(es) build, "
            "one reads for the baseline.",
        ),
    )


@contextmanager
def _opened(settings: Settings) -> Iterator[LiveProjection[Any]]:
    with open_service(settings, run_projections=False) as service:
        yield service.projections["tickets"]


def _one_by_one(live: LiveProjection[Any]) -> float:
    applier = Applier(live.live_version.projected, 1)
    started = perf_counter()
    for _ in range(_SINGLE):
        applier.step(1)
    return _SINGLE / (perf_counter() - started)


def _read(settings: Settings) -> float:
    """Seconds for reading and decoding every event."""
    with open_stores(settings) as stores:
        log, position = TicketLog(stores.log), 0
        started = perf_counter()
        while events := log.read(position, _STRETCH):
            position = events[-1].position
        return perf_counter() - started


def _build(settings: Settings, live: LiveProjection[Any], events: int) -> float:
    """Events a second until a new version is complete and up to date."""
    started = perf_counter()
    with suppress(_Built):
        _rebuild(settings, live, events, _stop_before_comparing)
    seconds = perf_counter() - started
    live.versions.switch(2)
    live.look()
    return events / seconds


class _Built(Exception):
    """The new version is complete."""


def _stop_before_comparing(step: Step) -> None:
    if step.phase == "comparing":
        raise _Built


def _rebuild(
    settings: Settings, live: LiveProjection[Any], events: int, tell: Callable[[Step], None]
) -> float:
    """Events a second until a new version is live."""
    started = perf_counter()
    with open_stores(settings) as stores:
        context = RebuildContext(
            projection=live,
            head=stores.log.head,
            holder=holder(),
            workers=Workers(settings, open_stores, stores.log.head),
            partitions=partition_count(),
            tell=tell,
        )
        found = rebuild(context)
    assert (found.state, found.live) == ("switched", [])
    return events / (perf_counter() - started)
