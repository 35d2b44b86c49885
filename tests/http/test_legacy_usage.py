"""Who still calls in the old way is counted, per caller and route, and outlives the service."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from pymongo.database import Database

from api.composition import open_stores
from domain.errors import StoreUnavailable
from infrastructure.configuration.settings import load_settings
from infrastructure.legacy_access.usage import UsageCounter
from infrastructure.legacy_usage import LegacyCalls
from infrastructure.mongodb.client import Document
from infrastructure.stores import Stores
from tests.support.command import run
from tests.support.old_backend import LIST, USERS, WRITE, old_backend
from tests.support.server import environment, until

START: Final = datetime(2027, 1, 1, tzinfo=UTC)
HTTP_LIST: Final = f"GET {LIST}"
HTTP_WRITE: Final = f"POST {WRITE}"


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def open_store(store_url: str) -> AbstractContextManager[Stores]:
    return open_stores(load_settings({"TICKETBOOK_STORE": store_url}))


def calls(caller: str, number: int, first: int, last: int, route: str = HTTP_LIST) -> LegacyCalls:
    return LegacyCalls(caller, route, number, minute(first), minute(last))


def test_counts_add_up_whoever_adds_them(store_url: str) -> None:
    with open_store(store_url) as one, open_store(store_url) as other:
        one.legacy_usage.add([calls("ada", 2, 1, 3), calls("bo", 1, 9, 9)])
        other.legacy_usage.add([calls("ada", 5, 2, 7), calls("ada", 1, 4, 4, HTTP_WRITE)])
        one.legacy_usage.add([calls("ada", 1, 0, 0)])

        expected = [
            calls("bo", 1, 9, 9),
            calls("ada", 8, 0, 7),
            calls("ada", 1, 4, 4, HTTP_WRITE),
        ]
        assert one.legacy_usage.all() == other.legacy_usage.all() == expected


class Forgetful:
    """A place for counts that does not take them the first time."""

    def __init__(self) -> None:
        self.tries = 0
        self.taken: list[LegacyCalls] = []

    def add(self, calls: Sequence[LegacyCalls]) -> None:
        self.tries += 1
        if self.tries == 1:
            raise StoreUnavailable("not now")
        self.taken += calls

    def all(self) -> Sequence[LegacyCalls]:
        return self.taken


def test_what_the_store_did_not_take_is_written_down_with_the_next() -> None:
    store, minutes = Forgetful(), count()
    counter = UsageCounter(store, lambda: minute(next(minutes)))
    counter.count("ada", HTTP_LIST)
    until(lambda: store.tries == 1)
    counter.count("ada", HTTP_LIST)
    counter.close()

    assert store.all() == [calls("ada", 2, 0, 1)]


def test_an_operator_sees_who_called_and_when(
    store_url: str, mongodb_url: str, mongodb_database: Database[Document]
) -> None:
    before = datetime.now(UTC)
    with old_backend(store_url, mongodb_url, mongodb_database) as backend:
        for _ in range(3):
            backend.list()
        backend.write("cy", name="x")  # refused, and a call all the same
        backend.client.get(LIST)
        text = backend.served.client().get("/metrics").text

    metrics = {
        (sample.labels["caller"], sample.labels["route"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "ticketbook_legacy_calls_total"
    }
    expected = {(USERS["ada"], HTTP_LIST): 3, (USERS["cy"], HTTP_WRITE): 1}
    assert metrics == expected | {("unknown", HTTP_LIST): 1}
    found = json.loads(usage(store_url, "--json"))
    assert {(one["caller"], one["route"]): one["calls"] for one in found} == metrics
    times = [datetime.fromisoformat(one["lastAt"]) for one in found]
    assert times == sorted(times, reverse=True)
    assert all(before - timedelta(seconds=1) < time < datetime.now(UTC) for time in times)
    assert found[0]["firstAt"] == found[0]["lastAt"]


def test_a_killed_service_has_written_down_what_is_a_few_seconds_old(
    mongodb_url: str, mongodb_database: Database[Document]
) -> None:
    with old_backend(mongodb_url, mongodb_url, mongodb_database) as backend:
        backend.list()
        until(lambda: len(backend.served.service.legacy_usage.all()) == 1)


def test_the_table_can_begin_at_a_day(tmp_path: Path) -> None:
    store_url = f"sqlite:///{tmp_path}/store.db"
    with open_store(store_url) as store:
        store.legacy_usage.add([calls("ada", 2, 1, 3), calls("bo", 1, 9, 9_000)])

    columns, *rows = usage(store_url).splitlines()
    last = rows[0].split()

    assert columns.split() == ["caller", "route", "calls", "first", "last"]
    assert [row.split()[0] for row in rows] == ["bo", "ada"]
    _, *rows = usage(store_url, "--since", "2027-01-02").splitlines()
    assert [row.split()[0] for row in rows] == ["bo"]
    when = datetime.fromisoformat(last[-1]).astimezone(timezone(timedelta(hours=-7)))
    _, *rows = usage(store_url, "--since", when.isoformat()).splitlines()
    assert [row.split()[0] for row in rows] == ["bo"]


def usage(store_url: str, *options: str) -> str:
    """What `ticketbook legacy usage` prints."""
    code, out, err = run("legacy", "usage", *options, **environment(store_url))
    assert (code, err) == (0, "")
    return out
