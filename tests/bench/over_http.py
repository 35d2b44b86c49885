"""Creating tickets over HTTP, and reading them back."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Final
from urllib.parse import urlsplit

from bson import ObjectId

from infrastructure.keys.credentials import issue_token
from infrastructure.mongodb.client import connect
from tests.bench.generator import Task, generate
from tests.bench.load import Contestant, interleave
from tests.bench.plan import Plan
from tests.bench.setup import free_port, server
from tests.bench.table import Part, below, compared, faster, shown

CONNECTIONS: Final = (16, 64)
READERS: Final = 8
PAUSE: Final = 0.05
"""Seconds a reader rests between two pairs, where the load is to be moderate."""

_ORGANISATION: Final = "64b000000000000000000001"
_TICKET: Final = json.dumps(
    {
        "name": "Machine hall, night shift",
        "system": "revolution_counter_1",
        "features": ["create_shift", "get_machine"],
    }
)


def create_ticket(uri: str, plan: Plan) -> Part:
    """Our server against one that keeps no history, each one process."""
    with ExitStack() as stack:
        name = stack.enter_context(_database(uri))
        ours = stack.enter_context(_ours(uri, name))
        plain = stack.enter_context(_plain(uri, name))
        found = interleave(
            {
                f"{who} {connections}": _busy(replace(task, connections=connections))
                for connections in CONNECTIONS
                for who, task in (("ours", ours), ("plain", plain))
            },
            plan,
        )
    what = "create-ticket over HTTP, {} connections"
    against = what + " / insert_one alone"
    few, many = CONNECTIONS
    rows = (
        shown(what.format(few), found[f"ours {few}"]),
        compared(against.format(few), found[f"ours {few}"], found[f"plain {few}"]),
        shown(what.format(many), found[f"ours {many}"]),
        faster(against.format(many), found[f"ours {many}"], found[f"plain {many}"], 1.5),
    )
    note = "HTTP: one uvicorn process each, load from another; ours verifies, logs and projects."
    return Part(rows, (note,))


def read_back(uri: str, plan: Plan) -> Part:
    """From the answer of a creation to the answer of a read that must show it."""
    with ExitStack() as stack:
        name = stack.enter_context(_database(uri))
        ours = stack.enter_context(_ours(uri, name))
        task = replace(ours, connections=READERS, read_back=True)
        found = interleave(
            {"moderate": _busy(replace(task, pause=PAUSE)), "saturated": _busy(task)}, plan
        )
    what = f"create, then read it over HTTP, {READERS} connections"
    moderate = found["moderate"]
    return Part(
        (
            below(f"{what} resting {PAUSE * 1_000:.0f} ms, p50", moderate.p50, 10),
            below(f"{what} resting {PAUSE * 1_000:.0f} ms, p99", moderate.p99, 50),
            shown(f"{what} as fast as they can", found["saturated"]),
        )
    )


def _busy(task: Task) -> Contestant:
    return lambda seconds: generate(replace(task, seconds=seconds))


@contextmanager
def _database(uri: str) -> Iterator[str]:
    """The name of an empty database."""
    name = f"bench_{ObjectId()}"
    yield name
    with connect(uri) as client:
        client.drop_database(name)


@contextmanager
def _ours(uri: str, name: str) -> Iterator[Task]:
    port, secret = free_port(), token_hex(32)
    environment = {
        **_others(os.environ),
        "TICKETBOOK_STORE": urlsplit(uri)._replace(path=f"/{name}").geturl(),
        "TICKETBOOK_AUTH_SECRET": secret,
    }
    scopes = ("tickets:read", "tickets:write")
    token = issue_token(secret, "bench", _ORGANISATION, scopes, timedelta(hours=1), _now)
    ticketbook = str(Path(sys.executable).with_name("ticketbook"))
    with server([ticketbook, "serve", "--port", str(port)], port, environment):
        yield Task(port, 1, 0.0, token, _TICKET)


@contextmanager
def _plain(uri: str, name: str) -> Iterator[Task]:
    port = free_port()
    environment = {**os.environ, "MONGODB_URI": uri, "MONGODB_DBNAME": name}
    uvicorn = [sys.executable, "-m", "uvicorn", "tests.bench.plain_insert:app"]
    quick = ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    options = ["--port", str(port), "--log-level", "warning"]
    with server([*uvicorn, *quick, *options], port, environment):
        yield Task(port, 1, 0.0, "", _TICKET)


def _others(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("TICKETBOOK")}


def _now() -> datetime:
    return datetime.now(UTC)
