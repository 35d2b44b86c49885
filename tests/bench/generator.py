"""Load on an HTTP server, from a process of its own that costs as little as possible.

Reads one `Task` as JSON from stdin, keeps its connections busy for its time, and prints the
milliseconds of each exchange as JSON. Only what our servers send is understood: HTTP/1.1,
keep-alive, `Content-Length`.
"""

import asyncio
import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Final, cast

import uvloop

from tests.bench.load import Sample, sample

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_POSITION: Final = re.compile(rb"\r\nevent-position: *(\d+)", re.IGNORECASE)
_ID: Final = re.compile(rb'"_id": ?"([0-9a-f]{24})"')


@dataclass(frozen=True, slots=True)
class Task:
    """POST `body` to `/v1/tickets` over and over. With `read_back`, each created ticket is read
    at the position its creation answered, and only that reading is timed. Each connection rests
    for `pause` seconds before each POST."""

    port: int
    connections: int
    seconds: float
    token: str
    body: str
    read_back: bool = False
    pause: float = 0.0


def generate(task: Task) -> Sample:
    """Run the task in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.generator"],
        input=json.dumps(asdict(task)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=task.seconds + 60,
    )
    return sample(json.loads(done.stdout), task.seconds)


class _Connection(asyncio.Protocol):
    """Sends a request, waits for all of its answer, sends the next."""

    def __init__(self, task: Task, until: float, milliseconds: list[float]) -> None:
        self._task = task
        self._until = until
        self._milliseconds = milliseconds
        self._received = b""
        self._reading = False
        self.done = asyncio.get_running_loop().create_future()
        body = task.body.encode()
        self._post = _request("POST", "/v1/tickets", task, len(body)) + body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._send(self._post)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[: end + 2]
        length = _LENGTH.search(head)
        if length is None:
            self._fail(f"an answer without Content-Length: {head!r}")
        elif len(self._received) >= end + 4 + int(length[1]):
            body, self._received = self._received[end + 4 :], b""
            self._answered(head, body)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def _answered(self, head: bytes, body: bytes) -> None:
        now = perf_counter()
        if not head.startswith(b"HTTP/1.1 20"):
            self._fail(f"{head.decode()}{body.decode()}")
            return
        if self._reading or not self._task.read_back:
            self._milliseconds.append((now - self._sent) * 1_000)
        if now > self._until:
            self.done.set_result(None)
            self._transport.close()
        elif self._task.read_back and not self._reading:
            self._reading = True
            self._send(self._get(head, body))
        else:
            self._reading = False
            asyncio.get_running_loop().call_later(self._task.pause, self._send, self._post)

    def _get(self, head: bytes, body: bytes) -> bytes:
        """Read what was just created, not older than its creation."""
        position, ticket = _POSITION.search(head), _ID.search(body)
        assert position and ticket, f"no position or no id: {head!r} {body!r}"
        wanted = f"Min-Event-Position: {position[1].decode()}\r\n"
        return _request("GET", f"/v1/tickets/{ticket[1].decode()}", self._task, 0, wanted)

    def _send(self, request: bytes) -> None:
        self._sent = perf_counter()
        self._transport.write(request)

    def _fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(reason))
        self._transport.close()


def _request(method: str, path: str, task: Task, length: int, extra: str = "") -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{task.port}\r\n"
        f"Authorization: Bearer {task.token}\r\n{extra}"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


async def _run(task: Task) -> list[float]:
    milliseconds: list[float] = []
    until = perf_counter() + task.seconds
    loop = asyncio.get_running_loop()
    opened = []
    for _ in range(task.connections):
        opened.append(
            await loop.create_connection(
                lambda: _Connection(task, until, milliseconds), "127.0.0.1", task.port
            )
        )
        await asyncio.sleep(task.pause / task.connections)  # else all would rest at once
    async with asyncio.timeout(task.seconds + 30):
        await asyncio.gather(*(connection.done for _, connection in opened))
    return milliseconds


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_run(Task(**json.load(sys.stdin))))))
