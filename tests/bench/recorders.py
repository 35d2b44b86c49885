"""`eventsourcing`'s own recorders, with their default settings."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import chown
from tempfile import TemporaryDirectory

from eventsourcing.persistence import ApplicationRecorder
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteFactory

from tests.bench.setup import NotHere, free_port, server


@contextmanager
def sqlite_recorder(path: Path) -> Iterator[SQLiteApplicationRecorder]:
    factory = SQLiteFactory({"SQLITE_DBNAME": str(path), "ORIGINATOR_ID_TYPE": "text"})
    recorder = factory.application_recorder()
    assert isinstance(recorder, SQLiteApplicationRecorder)
    try:
        yield recorder
    finally:
        factory.close()


def synchronous(recorder: SQLiteApplicationRecorder) -> str:
    """How its connections reach the disk."""
    with recorder.datastore.get_connection(commit=False) as connection:
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous")
        return ("OFF", "NORMAL", "FULL", "EXTRA")[cursor.fetchone()[0]]


@contextmanager
def postgres_recorder() -> Iterator[ApplicationRecorder]:
    """On a server of its own with PostgreSQL's default, durable settings."""
    try:
        from eventsourcing.postgres import PostgresFactory
    except ImportError as error:
        raise NotHere("psycopg is not installed: pip install -e '.[bench]'") from error
    with _postgres() as port, PostgresFactory(_settings(port)) as factory:
        yield factory.application_recorder()


def _settings(port: int) -> dict[str, str]:
    return {
        "POSTGRES_DBNAME": "postgres",
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_PORT": str(port),
        "POSTGRES_USER": "bench",
        "POSTGRES_PASSWORD": "bench",
        "ORIGINATOR_ID_TYPE": "text",
    }


@contextmanager
def _postgres() -> Iterator[int]:
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not binaries:
        raise NotHere("no PostgreSQL server under /usr/lib/postgresql")
    user = _unprivileged()
    with TemporaryDirectory(prefix="ticketbook-bench-") as folder:
        if user:
            chown(folder, user)
        data, port = f"{folder}/data", free_port()
        initdb = [str(binaries[-1].with_name("initdb")), "-D", data, "-U", "bench", "-A", "trust"]
        made = subprocess.run(
            initdb, user=user, cwd=folder, capture_output=True, text=True, timeout=60
        )
        if made.returncode:
            raise NotHere(f"initdb: {made.stderr.strip().splitlines()[-1]}")
        command = [str(binaries[-1]), "-D", data, "-p", str(port), "-k", folder]
        quiet = ["-c", "logging_collector=off", "-c", "log_min_messages=fatal"]
        with server([*command, *quiet], port, os.environ, user=user):
            yield port


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root: who to run it as, or None for ourselves."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in names:
            return name
    raise NotHere("PostgreSQL does not run as root, and there is nobody else to run it as")
