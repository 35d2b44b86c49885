"""A MongoDB server that itself fails the commands of the service (`failCommand`): what the other
tests of failures make up in the driver is what a server causes."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from infrastructure.mongodb.log import MongoDBLog
from tests.support.health import metrics, ready, unready
from tests.support.mongod import FailingReplicaSet
from tests.support.server import refused, seen, serving, until

COMMANDS = ("find", "aggregate", "insert", "update", "findAndModify", "commitTransaction")

LONG = pytest.mark.exhaustive


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingReplicaSet]:
    with closing(FailingReplicaSet(tmp_path_factory.mktemp("failing"))) as running:
        yield running


@pytest.mark.parametrize(
    "failure",
    [
        {"errorCode": 13},
        {"errorCode": 14031},
        pytest.param({"errorCode": 18}, marks=LONG),
        pytest.param({"errorCode": 96}, marks=LONG),
        pytest.param({"errorCode": 8000}, marks=LONG),
        pytest.param({"errorCode": 91}, marks=LONG),
        pytest.param({"errorCode": 11602}, marks=LONG),
        pytest.param({"closeConnection": True}, marks=LONG),
    ],
    ids=str,
)
def test_a_server_that_fails_is_told_and_nothing_is_lost(
    replica_set: FailingReplicaSet, monkeypatch: pytest.MonkeyPatch, failure: dict[str, Any]
) -> None:
    monkeypatch.setattr(MongoDBLog.__init__, "__defaults__", ("commits", 1.0))
    name = "code_" + str(failure.get("errorCode", "network"))
    with serving(replica_set.uri.replace("/?", f"/{name}?")) as served:
        client = served.client()
        until(lambda: ready(client))
        stored = client.create()
        path = stored.headers["Location"]

        with replica_set.failing(COMMANDS, **failure):
            refused(client.create(), 503, "store-unavailable")
            assert client.get(path, headers=seen(stored)).status_code in (200, 503)
            until(lambda: unready(client))
            metrics(client)

        until(lambda: ready(client))
        assert client.ticket(stored.json()["_id"], stored).json() == stored.json()
        later = client.create()
        assert client.ticket(later.json()["_id"], later).json() == later.json()
