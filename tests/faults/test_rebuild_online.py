"""A rebuild while the service is in use, and through every kind of death."""

import random
import sqlite3
import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from time import sleep
from typing import Any, Final

import bson
import pytest
from pymongo import MongoClient

from api.composition import open_service, open_stores
from api.use_cases import freshness
from infrastructure.configuration.addresses import SQLiteStore, parse_store
from infrastructure.configuration.settings import load_settings
from infrastructure.stores import Stores
from projections.versions.control import roll_back
from projections.versions.rebuild import HAND_OVER
from projections.versions.registry import Versions
from projections.versions.verification import verify
from tests.bench.history import fill
from tests.support.jobs import check_versions, operate, settled, used_while_operated
from tests.support.rebuilds import rebuilt
from tests.support.server import environment, serving, until
from tests.support.traffic import Seen, Traffic, traffic

Kill = Callable[["subprocess.Popen[str]", str, str], None]
"""Waits until it is time to kill the operator's process, which rebuilds the view of that name on
the store."""


READS: Final = 40
"""Reads by which the clients must get on between one thing that an operator does and the next."""


def test_clients_notice_neither_rebuild_nor_switch_nor_rollback(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them reads what it wrote, all the while, and is never answered anything else."""
    monkeypatch.setattr(freshness, "WAIT_SECONDS", 60.0)  # a busy machine takes its time
    with open_stores(load_settings(environment(store_url))) as stores:
        fill(stores.log, 300)
    with (
        serving(store_url) as served,
        open_service(load_settings(environment(store_url)), run_projections=False) as operator,
        traffic(served.url, pairs=2) as clients,
    ):
        live = operator.projections["tickets"]
        get_on(clients)
        found = rebuilt(live, operator.log.head, hand_over=HAND_OVER)
        assert (found.state, found.live) == ("switched", [])
        assert found.position > 300
        for version in (1, 2):
            get_on(clients)
            assert roll_back(live, "operator") == version
        get_on(clients)
    settled(store_url)
    check_versions(store_url)


def get_on(clients: Traffic) -> None:
    before = clients.reads
    until(lambda: bool(clients.failures) or clients.reads >= before + READS, seconds=120)


@pytest.mark.exhaustive
def test_clients_notice_nothing_of_processes_that_rebuild_and_roll_back(store_url: str) -> None:
    before, during = used_while_operated(store_url, 20_000)

    tell(before, during)
    assert before.reads > 20 and during.reads > 100
    # processors that are all busy make a view lag too, so the bound leaves room for that
    assert max(during.out_of_date) <= max(before.out_of_date) + 1.5


@pytest.mark.exhaustive
def test_clients_notice_nothing_of_a_rebuild_of_a_million_events(mongodb_url: str) -> None:
    before, during = used_while_operated(mongodb_url, 1_000_000)

    tell(before, during)
    assert during.reads > 1_000
    assert max(during.out_of_date) <= max(before.out_of_date) + 1.5


def tell(before: Seen, during: Seen) -> None:
    print(f"p99 of a write: {before.p99() * 1e3:.1f} ms before, {during.p99() * 1e3:.1f} ms during")
    late = max(before.out_of_date), max(during.out_of_date)
    print(f"a read was at most {late[0] * 1e3:.0f} ms old before, {late[1] * 1e3:.0f} ms during")
    print(f"reads that went back: {before.went_back} before, {during.went_back} during")


def killed_over_and_over(
    store_url: str, name: str, events: int, kills: Iterable[Kill], *options: str
) -> None:
    """Kill operators in the middle of their rebuilds; then let one end, and compare."""
    with open_stores(load_settings(environment(store_url))) as stores:
        fill(stores.log, events)
    undisturbed = ended(store_url, name)
    interrupted = 0
    for due in kills:
        operator = operate(store_url, "rebuild", name, *options)
        due(operator, store_url, name)
        operator.kill()
        operator.communicate()
        with open_stores(load_settings(environment(store_url))) as stores:
            interrupted += versions_of(stores, name).registry().building is not None
    assert interrupted, "every rebuild was done by then: this proved nothing"
    version = ended(store_url, name)
    assert version > undisturbed
    assert raw(store_url, name, version) == raw(store_url, name, undisturbed)


def ended(store_url: str, name: str) -> int:
    """The version that a rebuild ends with which nobody kills."""
    with open_service(load_settings(environment(store_url)), run_projections=False) as service:
        live = service.projections[name]
        live.versions.control(rate=0)
        assert rebuilt(live, service.log.head).state == "switched"
        assert verify(live.live_version.projected).mismatches == []
        return live.versions.registry().live


def versions_of(stores: Stores, name: str) -> Versions[Any]:
    return stores.tickets if name == "tickets" else stores.audit


def once_begun(operator: "subprocess.Popen[str]", store_url: str, name: str) -> None:
    """Wait until there is a version that is being built."""
    wait_for(operator, store_url, name, lambda versions: versions.registry().building is not None)


def once_partly_built(operator: "subprocess.Popen[str]", store_url: str, name: str) -> None:
    """Wait until a builder has written all it has."""

    def built(versions: Versions[Any]) -> bool:
        build = versions.registry().building
        return build is not None and bool(versions.view(build.version).loaded())

    wait_for(operator, store_url, name, built)


def wait_for(
    operator: "subprocess.Popen[str]",
    store_url: str,
    name: str,
    reached: Callable[[Versions[Any]], bool],
) -> None:
    with open_stores(load_settings(environment(store_url))) as stores:
        versions = versions_of(stores, name)
        until(lambda: reached(versions) or operator.poll() is not None, seconds=120)


@pytest.mark.parametrize(("store", "name"), [("sqlite", "audit"), ("mongodb", "tickets")])
def test_a_rebuild_whose_processes_are_killed_gives_the_same_to_the_byte(
    store_url: str, name: str
) -> None:
    """Slow ones, as they must not have ended before they are killed."""
    killed_over_and_over(store_url, name, 300, (once_begun, once_partly_built), "--rate", "100")


def at_random(seed: int) -> Kill:
    dice = random.Random(seed)

    def wait(operator: "subprocess.Popen[str]", store_url: str, name: str) -> None:
        assert operator.stderr and operator.stderr.read(1), "it ended before it began"
        sleep(dice.uniform(0.0, 3.0))

    return wait


@pytest.mark.exhaustive
@pytest.mark.parametrize(("store", "name"), [("sqlite", "audit"), ("mongodb", "tickets")])
def test_a_rebuild_killed_at_twenty_moments_gives_the_same_to_the_byte(
    store_url: str, name: str
) -> None:
    killed_over_and_over(store_url, name, 15_000, [at_random(20)] * 20)


def raw(store_url: str, name: str, version: int) -> Sequence[Any]:
    """The rows of a version as the store keeps them, with the tables beside them."""
    store = parse_store("TICKETBOOK_STORE", store_url)
    if isinstance(store, SQLiteStore):
        with closing(sqlite3.connect(store.path)) as connection:
            tables = (f"{name}_{version}", f"{name}_{version}_features")
            found = [connection.execute(f"SELECT * FROM {t} ORDER BY 1, 2, 3") for t in tables]
            return [row for rows in found for row in rows.fetchall()]
    with MongoClient[dict[str, Any]](store.uri) as client:
        found_ = client[store.database][f"{name}_{version}"].find().sort("_id", 1)
        return [bson.encode(document) for document in found_]
