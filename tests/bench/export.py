"""Exporting the whole audit log: how fast, and in how much memory."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from bson import ObjectId

from api.composition import open_service, open_stores
from infrastructure.configuration.settings import load_settings
from infrastructure.keys.signing_key import signing_key_of
from infrastructure.mongodb.client import connect
from tests.bench.history import fill
from tests.bench.plan import Plan
from tests.bench.table import Part, Row

MEMORY: Final = 150.0
"""Megabytes that an export of any size may take."""

# by a process between: what a child took counts from what its parent had when it was born
_MEASURE: Final = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
_COMMAND: Final = str(Path(sys.executable).with_name("ticketbook"))


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended well. `memory` is the most it ever took, in megabytes."""

    seconds: float
    memory: float


def export_from_sqlite(folder: Path, plan: Plan) -> Part:
    address = f"sqlite:///{folder / 'export.db'}"
    return measured("SQLite", {"TICKETBOOK_STORE": address}, folder, plan.events)


def export_from_mongodb(uri: str, folder: Path, plan: Plan) -> Part:
    name = f"bench_{ObjectId()}"
    address = urlsplit(uri)._replace(path=f"/{name}").geturl()
    beside = load_settings({"TICKETBOOK_STORE": f"sqlite:///{folder / 'key.db'}"})
    signing_key_of(beside)  # makes it
    environment = {
        "TICKETBOOK_STORE": address,
        "TICKETBOOK_AUTH_SECRET": "0123456789abcdef" * 2,
        "TICKETBOOK_SIGNING_KEY": str(folder / "key.db.signing.pem"),
    }
    try:
        return measured("MongoDB", environment, folder, plan.events)
    finally:
        with connect(uri) as client:
            client.drop_database(name)


def measured(store: str, environment: dict[str, str], folder: Path, events: int) -> Part:
    made(environment, events)
    key = folder / "ticketbook.pub"
    ran(["audit", "key"], key, environment)
    what = f"export of {events:,} audit entries from {store}"
    rows: list[Row] = []
    for style, around in (("ndjson", 1), ("csv", 2)):
        exported = folder / f"audit.{style}"
        took = ran(["audit", "export", "--format", style], exported, environment)
        with exported.open("rb") as lines:
            entries = sum(1 for _ in lines) - around
        held = took.memory < MEMORY and entries == events
        rate = f"{events / took.seconds:,.0f}/s, {took.memory:.0f} MB"
        rows.append(Row(f"{what}, {style}", rate, target=f"< {MEMORY:.0f} MB", held=held))
        checking = ["audit", "verify", "--export", str(exported), "--key", str(key)]
        checked = ran(checking, folder / "checked", environment)
        rate = f"{events / checked.seconds:,.0f}/s, {checked.memory:.0f} MB"
        rows.append(Row(f"checking that export offline, {style}", rate))
        exported.unlink()
    verified = ran(["audit", "verify", "--no-view"], folder / "checked", environment)
    rate = f"{events / verified.seconds:,.0f}/s, {verified.memory:.0f} MB"
    rows.append(Row(f"computing the chain of {store} again", rate))
    return Part(tuple(rows))


def made(environment: dict[str, str], events: int) -> None:
    """A store with so many events, all in the audit log."""
    settings = load_settings(environment)
    with open_stores(settings) as stores:
        fill(stores.log, events)
    with open_service(settings) as service:
        progress = service.projections["audit"].live_version.progress
        if not progress.wait(events, 60 + events / 500):
            raise RuntimeError(f"the audit log stands at {progress.position}")


def ran(arguments: Sequence[str], out: Path, environment: dict[str, str]) -> Ran:
    """Run a command of ours to its end, with its output in a file."""
    started = perf_counter()
    with out.open("wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-c", _MEASURE, _COMMAND, *arguments],
            env=os.environ | environment,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
    if done.returncode:
        raise RuntimeError(f"ticketbook {' '.join(arguments)} failed: {done.stderr}")
    return Ran(perf_counter() - started, int(done.stderr.split()[-1]) / 1024)
