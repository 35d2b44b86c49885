"""docs/operators.md says which roles the service, an operator and a migration need on a MongoDB
with access control: with these everything works, and with less it does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bson import ObjectId
from pymongo import MongoClient

from infrastructure.mongodb.client import Document
from tests.support.access_control import OLD, access_controlled, address
from tests.support.command import run_process
from tests.support.mongod import ReplicaSet
from tests.support.server import Client, environment, seen, serving

pytestmark = pytest.mark.exhaustive  # a server of its own, for a page of the documents


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    """One server that knows the users by name, and an old system with some records."""
    with access_controlled(tmp_path_factory.mktemp("roles"), _fill) as started:
        yield started


def _fill(client: MongoClient[Document]) -> None:
    records = [
        {"name": f"Crew {number}", "orgId": ObjectId(), "features": ["get_all"]}
        for number in range(20)
    ]
    client[OLD]["ticket_1"].insert_many(records)
    client[OLD]["users"].insert_one({"name": "Ada"})


def exit_code(replica_set: ReplicaSet, user: str, *command: str) -> int:
    settings = environment(address(replica_set, user))
    store = settings.pop("TICKETBOOK_STORE")
    code, _, err = run_process(*command, store=store, **settings)
    print(user, *command, code, err)  # shown when the test fails
    return code


def test_the_documented_roles_are_enough_and_less_is_not(
    replica_set: ReplicaSet, tmp_path: Path
) -> None:
    with serving(address(replica_set, "service")) as served:
        client = served.client()
        created = client.create()
        assert created.status_code == 201
        assert client.ticket(created.json()["_id"], after=created).status_code == 200
        assert client.get("/v1/audit", headers=seen(created)).status_code == 200

        for command in ("search", "head", "export", "reads", "verify"):
            assert exit_code(replica_set, "writer", "audit", command) == 0
            assert exit_code(replica_set, "reader", "audit", command) != 0
        assert exit_code(replica_set, "reader", "audit", "key") == 0

        rebuild = ("projections", "rebuild", "tickets")
        assert exit_code(replica_set, "writer", "projections", "rebuild", "audit") == 0
        assert exit_code(replica_set, "writer", *rebuild) != 0  # no collMod
        assert exit_code(replica_set, "service", *rebuild) == 0
        for command in ("rollback", "drop-old", "verify", "status"):
            assert exit_code(replica_set, "service", "projections", command) == 0

        _migrate(replica_set, tmp_path, client)


def _migrate(replica_set: ReplicaSet, folder: Path, client: Client) -> None:
    source = ("--source", address(replica_set, "migration", OLD))
    for verb, *options in (
        ("plan",),
        ("backup", "--to", str(folder / "backup")),
        ("run",),
        ("verify",),
        ("follow", "--until-idle"),
    ):
        assert exit_code(replica_set, "migration", "migrate", verb, *source, *options) == 0
    remove = ("migrate", "retire", "--yes-remove", "ticket_1")
    assert exit_code(replica_set, "migration", *remove, *source) == 4
    source = ("--source", address(replica_set, "cutover", OLD))
    assert exit_code(replica_set, "cutover", *remove, *source) == 0
    assert exit_code(replica_set, "cutover", "migrate", "rollback", *source) == 0
