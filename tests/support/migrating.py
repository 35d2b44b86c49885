"""Migrations, as an operator runs them: the sample of an old system's data, and its commands."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import bson
from bson import ObjectId, json_util
from pymongo import MongoClient
from pymongo.database import Database

from infrastructure.mongodb.client import Document, database
from tests.support.command import run as run_anywhere
from tests.support.old_system import RAW
from tests.support.server import SECRET

DUMPS: Final = Path(__file__).parent / "legacy"
"""1,200 tickets and 3,000 users of an old system, as mongodump writes them."""

DIRTY: Final[dict[str, list[str]]] = json.loads((DUMPS / "manifest.json").read_text())["dirty"]
"""By kind, the ids of the records in it that are not as they should be."""


def migrate(*arguments: str, store: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `ticketbook migrate …`."""
    return run_anywhere("migrate", *arguments, store=store, TICKETBOOK_AUTH_SECRET=SECRET)


def migrated(*arguments: str, store: str) -> Any:
    """What a command prints as JSON; it must succeed."""
    code, out, err = migrate(*arguments, "--json", store=store)
    assert code == 0, err
    return json.loads(out)


def back_up(source: str, store: str, to: Path) -> None:
    migrated("backup", "--source", source, "--to", str(to), store=store)


def sample(collection: str) -> list[Document]:
    """The documents of the sample."""
    return bson.decode_all((DUMPS / f"{collection}.bson").read_bytes())


def as_json_lines(folder: Path) -> Path:
    """The sample as mongoexport writes it."""
    for collection in ("ticket_1", "users"):
        lines = [json_util.dumps(document) for document in sample(collection)]
        (folder / f"{collection}.json").write_text("\n".join(lines) + "\n")
    return folder


@contextmanager
def old_database(
    client: MongoClient[Document], uri: str
) -> Iterator[tuple[Database[Document], str]]:
    """A database that holds the sample, byte for byte, and its address."""
    name = f"old_{ObjectId()}"
    opened = database(client, name)
    for collection in ("ticket_1", "users"):
        raw = bson.decode_iter((DUMPS / f"{collection}.bson").read_bytes(), RAW)
        opened[collection].insert_many(list(raw))
    yield opened, urlsplit(uri)._replace(path=f"/{name}").geturl()
    client.drop_database(name)
