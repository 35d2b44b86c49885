"""A MongoDB that knows its users: those of the table in docs/operators.md."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from pymongo import MongoClient

from infrastructure.mongodb.client import Document
from tests.support.mongod import ReplicaSet

STORE, OLD, PASSWORD = "ticketbook", "old", "secret"
SWITCH: Final = "ticketbookSwitch"
USERS: Final[dict[str, list[str | dict[str, str]]]] = {
    "writer": ["readWrite"],
    "service": ["readWrite", SWITCH],
    "reader": ["read"],
    "migration": ["readWrite", SWITCH, {"role": "read", "db": OLD}],
    "cutover": ["readWrite", SWITCH, {"role": "readWrite", "db": OLD}],
}
"""The roles of each user, who is of the database `STORE`. "writer" has `readWrite` alone."""


@contextmanager
def access_controlled(
    folder: Path, fill: Callable[[MongoClient[Document]], None]
) -> Iterator[ReplicaSet]:
    """One server. `fill` puts something there while everybody may do everything."""
    with closing(ReplicaSet(folder, members=1)) as started:
        with MongoClient[Document](started.uri) as client:
            store, view = client[STORE], {"db": STORE, "collection": "tickets"}
            privileges = [{"resource": view, "actions": ["collMod"]}]
            store.command("createRole", SWITCH, privileges=privileges, roles=[])
            for name, roles in USERS.items():
                store.command("createUser", name, pwd=PASSWORD, roles=roles)
            fill(client)
        started.restart_with_access_control()
        yield started


def address(replica_set: ReplicaSet, user: str, database: str = STORE) -> str:
    """The address at which the user comes in."""
    scheme, hosts = replica_set.uri.split("//")
    hosts, options = hosts.split("/")
    return f"{scheme}//{user}:{PASSWORD}@{hosts}/{database}{options}&authSource={STORE}"
