"""Taking over the records of an old system, beside copying them with pymongo."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from time import perf_counter, sleep
from typing import Any, Final
from urllib.parse import urlsplit

from bson import ObjectId
from pymongo import MongoClient

from infrastructure.migration.chunks import chunks
from infrastructure.mongodb.client import DURABLE, Document, connect
from tests.bench.plan import Plan
from tests.bench.table import Part, Row

RATE: Final = 10_000
"""Records a second that are promised."""

MEMORY: Final = 200
"""MB that are promised at a million records, of all processes of a migration together."""

_LOOK: Final = 0.1
"""Seconds between looks at how much memory was used."""

_TOGETHER: Final = 1_000
_START: Final = datetime(2024, 1, 1, tzinfo=UTC)
_FEATURES: Final = (
    *("create_downtime_log", "create_location", "create_needle_change_log", "create_operator"),
    *("create_shift", "create_supervisor", "create_update_machine", "create_yarn", "get_all"),
    *("delete_machine", "get_downtime_logs", "get_entities", "get_machine", "get_one"),
)


def migrate(uri: str, folder: Path, plan: Plan) -> Part:
    """The command as an operator runs it, from MongoDB into MongoDB and into SQLite."""
    name = f"bench_{ObjectId()}"
    with connect(uri) as client:
        try:
            _fill(client, f"{name}_old", plan.events)
            copied = plan.events / _copy(client, f"{name}_old", f"{name}_copy")
            client.drop_database(f"{name}_copy")
            source = _address(uri, f"{name}_old")
            targets = {
                "MongoDB": _address(uri, f"{name}_new"),
                "SQLite": f"sqlite:///{folder / name}.db",
            }
            rows = [
                row
                for kind, target in targets.items()
                for row in _rows(kind, plan.events, copied, *_run(source, target))
            ]
        finally:
            for database in ("old", "copy", "new"):
                client.drop_database(f"{name}_{database}")
    note = "Migration: the whole command, from its start to its end; the copy keeps no history."
    return Part(tuple(rows), (note,))


def _rows(kind: str, records: int, copied: float, seconds: float, memory: float) -> Iterator[Row]:
    rate = records / seconds
    yield Row(
        f"migrate {records:,} records into {kind} / pymongo find + insert_many",
        f"{rate:,.0f}/s",
        f"{copied:,.0f}/s",
        f"{rate / copied:.2f}",
        f">= {RATE:,}/s",
        rate >= RATE,
    )
    yield Row(
        f"migrate {records:,} records into {kind}, peak memory",
        f"{memory:,.0f} MB",
        target=f"< {MEMORY} MB",
        held=memory < MEMORY,
    )


def _run(source: str, target: str) -> tuple[float, float]:
    """Seconds it took, and MB of memory it had at most."""
    environment = {
        **{name: value for name, value in os.environ.items() if "TICKETBOOK" not in name},
        "TICKETBOOK_STORE": target,
        "TICKETBOOK_AUTH_SECRET": "0" * 64,
    }
    ticketbook = str(Path(sys.executable).with_name("ticketbook"))
    command = [ticketbook, "migrate", "run", "--source", source, "--no-backup"]
    began, peaks = perf_counter(), dict[int, int]()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            peaks |= dict(_peaks(process.pid))
            sleep(_LOOK)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return perf_counter() - began, sum(peaks.values()) / 1024


def _peaks(process: int) -> Iterator[tuple[int, int]]:
    """The KB that a process, and each one it started, had at most so far."""
    with suppress(OSError):  # it ended just now
        folder = Path(f"/proc/{process}")
        for child in (folder / "task" / str(process) / "children").read_text().split():
            yield from _peaks(int(child))
        for line in (folder / "status").read_text().splitlines():
            if line.startswith("VmHWM"):
                yield process, int(line.split()[1])


def _copy(client: MongoClient[Document], old: str, copy: str) -> float:
    """Seconds that it takes to copy the records, as durable as ours."""
    target = client[copy].get_collection("ticket_1", write_concern=DURABLE)
    began = perf_counter()
    for some in chunks(client[old]["ticket_1"].find(), _TOGETHER):
        target.insert_many(some)
    return perf_counter() - began


def _fill(client: MongoClient[Document], name: str, records: int) -> None:
    random = Random(1)
    organisations = [ObjectId() for _ in range(max(records // 100, 1))]
    made = (_record(random, organisations, number) for number in range(records))
    for some in chunks(made, _TOGETHER):
        client[name]["ticket_1"].insert_many(some, ordered=False)


def _record(random: Random, organisations: list[ObjectId], number: int) -> dict[str, Any]:
    """One in twenty is not as it should be."""
    made = _START + timedelta(seconds=number)
    record: dict[str, Any] = {
        "_id": ObjectId(),
        "name": f"Crew {number}",
        "orgId": random.choice(organisations),
        "features": random.sample(_FEATURES, random.randrange(1, len(_FEATURES))),
        "createdAt": made,
        "updatedAt": made,
        "__v": 0,
    }
    match number % 100:
        case 0:
            del record["name"]
        case 20:
            del record["createdAt"], record["updatedAt"]
        case 40:
            record["orgId"] = str(record["orgId"])
        case 60:
            record["features"].append("print_labels")
        case 80:
            record["features"] *= 2
    return record


def _address(uri: str, database: str) -> str:
    return urlsplit(uri)._replace(path=f"/{database}").geturl()
