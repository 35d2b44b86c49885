"""Keeping views current: beside writers, and from far behind. Both views in one process, as a
service runs them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Thread
from time import perf_counter, process_time, sleep
from typing import Final
from urllib.parse import urlsplit

from bson import ObjectId

from api.composition import open_service, open_stores
from api.use_cases.service import Service
from infrastructure.configuration.settings import Settings, load_settings
from infrastructure.mongodb.client import connect
from projections.versions.build import build_partition
from tests.bench.history import fill
from tests.bench.load import threads
from tests.bench.plan import Plan
from tests.bench.table import Part, Row, at_least
from tests.support.stories import create, rename

_WRITERS: Final = 64

_ROUNDS: Final = 30
"""Rounds of a plan for which the writers write: a minute in the full one."""

_LOOK: Final = 0.25
"""Seconds between two looks at the lag."""

_SMALLEST: Final = 10_000


def keep_up_on_mongodb(uri: str, plan: Plan) -> Part:
    return _measured("MongoDB", lambda name: urlsplit(uri)._replace(path=f"/{name}").geturl(), plan)


def keep_up_on_sqlite(folder: Path, plan: Plan) -> Part:
    return _measured("SQLite", lambda name: f"sqlite:///{folder / name}.db", plan)


def _measured(store: str, address: Callable[[str], str], plan: Plan) -> Part:
    rows: list[Row] = []
    used: list[float] = []
    sizes = sorted({min(_SMALLEST, plan.events), max(plan.events // 5, _SMALLEST), plan.events})
    for events in sizes:
        with _store(address) as settings:
            with open_stores(settings) as stores:
                fill(stores.log, events)
            caught_up, seconds = _catch_up(settings, events)
            used.append(seconds / events * 1e6)
            rows.append(
                at_least(
                    f"both views on {store}, {events:,} events behind / building one after another",
                    caught_up,
                    _build(settings, events),
                    0.5,
                )
            )
    rows.append(
        Row(
            f"processor time of the process an event, {sizes[0]:,} to {sizes[-1]:,} events",
            f"{used[-1]:.0f} µs",
            f"{used[0]:.0f} µs",
            f"{used[-1] / used[0]:.2f}",
            "<= 1.2 x",
            used[-1] <= 1.2 * used[0],
        )
    )
    with _store(address) as settings:
        rows.append(_beside_writers(store, settings, plan))
    return Part(
        tuple(rows),
        (f"Lag on {store}: events between the head of the log and the view that is last.",),
    )


@contextmanager
def _store(address: Callable[[str], str]) -> Iterator[Settings]:
    name = f"bench_{ObjectId()}"
    secret = {"TICKETBOOK_AUTH_SECRET": "0123456789abcdef" * 2}
    url = address(name)
    try:
        yield load_settings({"TICKETBOOK_STORE": url, **secret})
    finally:
        if url.startswith("mongodb"):
            with connect(url) as client:
                client.drop_database(name)


def _catch_up(settings: Settings, events: int) -> tuple[float, float]:
    """Events a second until every view shows all, and seconds of this process's processors."""
    started, used = perf_counter(), process_time()
    with open_service(settings) as service:
        for projection in service.projections.values():
            while not projection.live_version.progress.wait(events, 60.0):
                pass
        return events / (perf_counter() - started), process_time() - used


def _build(settings: Settings, events: int) -> float:
    """Events a second to build both views anew, in this process."""
    with open_service(settings, run_projections=False) as service:
        started = perf_counter()
        for projection in service.projections.values():
            build = projection.versions.begin(events, 1)
            build_partition(projection.projected(build.version), projection.versions, build, 0)
            projection.versions.view(build.version).complete(events)
        return events / (perf_counter() - started)


def _beside_writers(store: str, settings: Settings, plan: Plan) -> Row:
    lags: list[tuple[float, int]] = []
    seconds = _ROUNDS * plan.seconds
    with open_service(settings) as service:
        numbers = count(1)

        def write() -> None:
            ticket_id = f"{next(numbers):024x}"
            service.writer.execute(create(ticket_id))
            service.writer.execute(rename("Night shift", ticket_id))

        began = perf_counter()
        watching = Thread(target=_watch, args=(service, began + seconds, lags), daemon=True)
        watching.start()
        done = threads(write, _WRITERS)(seconds)
        watching.join()
    early = [lag for at, lag in lags if seconds / 6 <= at - began <= seconds / 2]
    late = [lag for at, lag in lags if at - began > seconds / 2]
    most_early, most_late = max(early), max(late)
    # a view that does not keep up is a growing part of the whole behind
    allowed = max(2 * most_early, round(done.rate))
    return Row(
        f"most events behind on {store} beside {_WRITERS} writers ({done.rate:,.0f}/s), "
        f"second half of {seconds:.0f} s / before",
        f"{most_late:,}",
        f"{most_early:,}",
        f"{most_late / max(most_early, 1):.1f}",
        "does not grow",
        most_late <= allowed,
    )


def _watch(service: Service, until: float, lags: list[tuple[float, int]]) -> None:
    while (now := perf_counter()) < until:
        positions = [one.live_version.progress.position for one in service.projections.values()]
        lags.append((now, max(service.head.position - min(positions), 0)))
        sleep(_LOOK)
