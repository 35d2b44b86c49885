"""The service as its clients meet it: over a real socket, in this process or in one of its own."""

import atexit
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.message import Message
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from threading import Thread
from time import clock_gettime, monotonic, pthread_getcpuclockid, sleep
from typing import IO, Any, Final
from urllib.parse import urlsplit

import httpx
import uvicorn
from bson import ObjectId
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.composition import open_service
from api.http.app import create_app
from api.http.connections.guard import Guard
from api.http.connections.pool import Connections
from api.http.limits import ConnectionLimits
from api.http.server import configuration
from api.use_cases.service import Service
from infrastructure.clock import now
from infrastructure.configuration.settings import load_settings
from infrastructure.keys.claims import SCOPES
from infrastructure.keys.credentials import issue_token
from tests.support.command import COMMAND, clean_environment

SECRET: Final = "a secret of the tests, long enough for HS256"
EVERYTHING: Final = " ".join(SCOPES)
TICKET: Final = {
    "name": "Night shift",
    "system": "workforce_2",
    "features": ["get_all", "create_shift"],
}

_START_SECONDS: Final = 30


def new_id() -> str:
    """An id that nobody has."""
    return str(ObjectId())


def token_for(org: str, *, sub: str = "ada", scope: str = EVERYTHING) -> str:
    return issue_token(SECRET, sub, org, scope.split(), timedelta(hours=1), now)


@cache
def signing_key() -> Path:
    """The file with the key of every service in a test run."""
    folder = TemporaryDirectory(prefix="ticketbook-key-")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "signing.pem"
    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def environment(store_url: str) -> dict[str, str]:
    """The settings of a service on that store."""
    return {
        "TICKETBOOK_STORE": store_url,
        "TICKETBOOK_AUTH_SECRET": SECRET,
        "TICKETBOOK_SIGNING_KEY": str(signing_key()),
    }


class Client(httpx.Client):
    """A client of one organisation, with a few words for what tests do all the time."""

    def __init__(self, url: str, org: str | None = None, **claims: str) -> None:
        self.org = org or new_id()
        headers = {"Authorization": f"Bearer {token_for(self.org, **claims)}"}
        # no TLS here: without `verify` each client spares itself reading the certificates
        super().__init__(base_url=url, headers=headers, timeout=60, verify=False)

    def create(self, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        """Create a ticket that holds `TICKET`, except for `fields`."""
        return self.post("/v1/tickets", json=TICKET | fields, headers=headers)

    def created(self, **fields: Any) -> dict[str, Any]:
        """A new ticket, in both views already."""
        answer = self.create(**fields)
        assert answer.status_code == 201, answer.text
        ticket: dict[str, Any] = answer.json()
        self.ticket(ticket["_id"], after=answer)
        self.history(ticket["_id"], after=answer)
        return ticket

    def ticket(self, ticket_id: str, after: httpx.Response) -> httpx.Response:
        """Read the ticket, not older than what `after` answered."""
        return self.get(f"/v1/tickets/{ticket_id}", headers=seen(after))

    def history(self, ticket_id: str, after: httpx.Response) -> list[dict[str, Any]]:
        answer = self.get(f"/v1/tickets/{ticket_id}/history", headers=seen(after))
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


def seen(answer: httpx.Response) -> dict[str, str]:
    """The header that asks to read nothing older than `answer`."""
    return {"Min-Event-Position": answer.headers["Event-Position"]}


def etag(answer: httpx.Response) -> dict[str, str]:
    """The header that allows a change of what `answer` told."""
    return {"If-Match": answer.headers["ETag"]}


def refused(answer: httpx.Response, status: int, code: str, *pointers: str) -> dict[str, Any]:
    """The problem document, once everything in it is as promised."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-ID"]
    problem: dict[str, Any] = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"/problems/{code}"
    assert problem["title"] and problem["detail"]
    assert [fault["pointer"] for fault in problem["errors"]] == list(pointers)
    assert all(fault["code"] and fault["detail"] for fault in problem["errors"])
    return problem


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One connection, for tests that send very much: a tenth of the work of a `Client`."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        host, port = urlsplit(url).netloc.split(":")
        self._connection = HTTPConnection(host, int(port), timeout=60)
        self._headers = {"Content-Type": "application/json", **headers}

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> None:
        """Send a request; `answer` waits for what comes back."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, self._headers | named)

    def answer(self) -> Answer:
        """Raises `OSError` or `HTTPException` when the other side is gone."""
        answer = self._connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        self.send(method, path, body, **headers)
        return self.answer()

    def close(self) -> None:
        self._connection.close()


class Served:
    """A service in this process, over HTTP."""

    def __init__(
        self,
        url: str,
        service: Service,
        connections: Connections,
        stack: ExitStack,
        clock: int,
    ) -> None:
        self.url = url
        self.service = service
        self.connections = connections
        self._stack = stack
        self._clock = clock

    def client(self, org: str | None = None, **claims: str) -> Client:
        """A client of a new organisation, or of `org`; closed at the end."""
        return self._stack.enter_context(Client(self.url, org, **claims))

    @property
    def head(self) -> int:
        """Position of the last event, read from the store."""
        return self.service.log.head()

    def processor_seconds(self) -> float:
        """Processor time that the thread of the event loop has spent so far."""
        return clock_gettime(self._clock)


@contextmanager
def serving(store_url: str, **settings: str) -> Iterator[Served]:
    """Serve until the block ends, in a thread of this process."""
    with serving_within(ConnectionLimits(), store_url, settings=settings) as running:
        yield running


@contextmanager
def serving_within(
    limits: ConnectionLimits,
    store_url: str,
    protocol: type[Guard] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """The same with other limits of connections, or with the other parser of uvicorn."""
    with ExitStack() as stack:
        service = stack.enter_context(
            open_service(load_settings(environment(store_url) | dict(settings or {})))
        )
        app = create_app(service, limits)
        config = configuration(app, protocol)
        config.port = 0  # a free one
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, name="server")
        thread.start()
        stack.callback(thread.join)
        stack.callback(setattr, server, "should_exit", True)
        until(lambda: server.started or not thread.is_alive())
        port = server.servers[0].sockets[0].getsockname()[1]
        assert thread.ident
        clock = pthread_getcpuclockid(thread.ident)
        connections: Connections = app.state.connections
        yield Served(f"http://127.0.0.1:{port}", service, connections, stack, clock)


class ServerProcess:
    """`ticketbook serve` in a process of its own, which can be killed and started again."""

    def __init__(
        self,
        store_url: str,
        command: tuple[str, ...] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command or (str(COMMAND), "serve", "--port", "0")
        self._environment = clean_environment(None, environment(store_url) | dict(settings or {}))
        self.url = ""
        self.stderr: list[str] = []  # complete once it has ended
        self.start()

    def start(self) -> None:
        """Returns when it takes connections, on a new port."""
        process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr
        self._process = process
        said: Queue[str | None] = Queue()
        arguments = (process.stderr, said, self.stderr)
        self._reader = Thread(target=_hear, args=arguments, daemon=True)
        self._reader.start()
        heard = ""
        while (line := said.get(timeout=_START_SECONDS)) is not None:
            heard += line
            if line.startswith("Ticketbook serves "):
                self.url = line.split()[-1]
                until(self._answers)
                return
        raise RuntimeError(f"the service does not start: {heard}")

    def kill(self) -> None:
        """As `kill -9` does: nothing is finished, nothing is said."""
        self._process.kill()
        self._ended()

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self._process.terminate()
        self._ended()

    def _ended(self) -> None:
        self._process.wait(_START_SECONDS)
        self._reader.join()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", verify=False).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def serving_apart(store_url: str, *command: str, **settings: str) -> Iterator[ServerProcess]:
    """Serve until the block ends, in another process."""
    server = ServerProcess(store_url, command, settings)
    try:
        yield server
    finally:
        server.stop()


def until(happened: Callable[[], bool], seconds: float = _START_SECONDS) -> float:
    """Wait until it happened; how long that took. An error when it does not."""
    started = monotonic()
    while not happened():
        if monotonic() - started > seconds:
            raise AssertionError(f"it did not happen within {seconds} s")
        sleep(0.02)
    return monotonic() - started


def _hear(stream: IO[str], said: "Queue[str | None]", lines: list[str]) -> None:
    """Keep reading, so that a talkative service never blocks on a full pipe."""
    with stream:
        for line in stream:
            lines.append(line)
            said.put(line)
    said.put(None)
