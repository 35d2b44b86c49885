"""A rebuild while the service is in use, and through every kind of death."""

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from time import sleep
from typing import Any

import bson
import pytest
from pymongo import MongoClient

from api.composition import open_service, open_stores
from infrastructure.configuration.addresses import SQLiteStore, parse_store
from infrastructure.configuration.settings import load_settings
from projections.versions.verification import verify
from tests.bench.history import fill
from tests.support.jobs import done, operate, used_while_operated
from tests.support.server import environment
from tests.support.traffic import Seen


def test_clients_notice_neither_rebuild_nor_switch_nor_rollback(store_url: str) -> None:
    before, during = used_while_operated(store_url, 20_000)

    told(before, during)
    assert before.reads > 20 and during.reads > 100
    # processors that are all busy make a view lag too, so the bound leaves room for that
    assert max(during.out_of_date) <= max(before.out_of_date) + 1.5


@pytest.mark.exhaustive
def test_clients_notice_nothing_of_a_rebuild_of_a_million_events(mongodb_url: str) -> None:
    before, during = used_while_operated(mongodb_url, 1_000_000)

    told(before, during)
    assert during.reads > 1_000
    assert max(during.out_of_date) <= max(before.out_of_date) + 1.5


def told(before: Seen, during: Seen) -> None:
    print(f"p99 of a write: {before.p99() * 1e3:.1f} ms before, {during.p99() * 1e3:.1f} ms during")
    late = max(before.out_of_date), max(during.out_of_date)
    print(f"a read was at most {late[0] * 1e3:.0f} ms old before, {late[1] * 1e3:.0f} ms during")
    print(f"reads that went back: {before.went_back} before, {during.went_back} during")


def killed_over_and_over(store_url: str, name: str, kills: int) -> None:
    """Kill operators in the middle of their rebuilds; then let one end, and compare."""
    with open_stores(load_settings(environment(store_url))) as stores:
        fill(stores.log, 15_000)
    done(operate(store_url, "rebuild", name))  # version 2, undisturbed
    dice, interrupted = random.Random(kills), 0
    for _ in range(kills):
        operator = operate(store_url, "rebuild", name)
        assert operator.stderr and operator.stderr.read(1), "it ended before it began"
        sleep(dice.uniform(0.0, 3.0))
        operator.kill()
        operator.communicate()
        with open_stores(load_settings(environment(store_url))) as stores:
            versions = stores.tickets if name == "tickets" else stores.audit
            interrupted += versions.registry().building is not None
    assert interrupted, "every rebuild was done by then: this proved nothing"
    done(operate(store_url, "rebuild", name))

    with open_service(load_settings(environment(store_url)), run_projections=False) as service:
        live = service.projections[name]
        version = live.versions.registry().live
        assert version > 2
        assert verify(live.live_version.projected).mismatches == []
    assert raw(store_url, name, version) == raw(store_url, name, 2)


def test_a_rebuild_killed_at_twenty_moments_gives_the_same_to_the_byte(mongodb_url: str) -> None:
    killed_over_and_over(mongodb_url, "tickets", 20)


def test_so_does_any_view_on_any_store(store_url: str) -> None:
    killed_over_and_over(store_url, "audit", 2)


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
