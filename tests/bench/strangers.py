"""Callers are served while others send far too much, too little, or nothing: how long they wait,
and how much memory it takes."""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from threading import Event, Thread
from typing import Final

from infrastructure.keys.credentials import issue_token
from tests.bench.generator import Task, generate
from tests.bench.load import Sample
from tests.bench.plan import Plan
from tests.bench.setup import free_port, server
from tests.bench.table import Part, Row, at_most

_ORGANISATION: Final = "64b000000000000000000001"
_TICKET: Final = {"name": "Night shift", "system": "workforce_2", "features": ["create_shift"]}
_CONNECTIONS: Final = 8
_PAUSE: Final = 0.02
"""Seconds that a caller rests between two commands."""

_REST: Final = 0.1
"""Seconds between two of the same attack."""

_TIMES: Final = 3.0
_MEGABYTES: Final = 50.0

Attack = Callable[[int, bytes, Event], None]
"""Sends to a port until the event is set; the bytes are a header that names a caller, or none."""


def serve_beside_strangers(folder: Path, plan: Plan) -> Part:
    """Each attack from strangers and from a caller at once, beside the same eight callers."""
    rows: list[Row] = []
    seconds = plan.seconds * 3
    for name, attack in ATTACKS.items():
        with _service(folder / name.replace(" ", "-")) as (process, task):
            generate(replace(task, seconds=seconds / 4))  # warms up
            alone = generate(replace(task, seconds=seconds))
            before = _megabytes(process)
            beside, peak = _during(process, attack, replace(task, seconds=seconds))
        rows.append(at_most(f"p99 of a command beside {name}", beside.p99, alone.p99, _TIMES))
        grown = max(peak - before, 0.0)
        rows.append(
            Row(
                f"memory taken by {name}",
                f"{grown:.0f} MB",
                target=f"< {_MEGABYTES:g} MB",
                held=grown < _MEGABYTES,
            )
        )
    note = f"strangers: {_CONNECTIONS} callers create tickets, resting {_PAUSE * 1_000:.0f} ms."
    return Part(tuple(rows), (note,))


def _during(process: int, attack: Attack, task: Task) -> tuple[Sample, float]:
    """The callers' sample while the attack goes on, and the most memory in megabytes."""
    enough, peak = Event(), [_megabytes(process)]

    def watch() -> None:
        while not enough.wait(0.02):
            peak.append(_megabytes(process))

    caller = f"Authorization: Bearer {task.token}\r\n".encode()
    workers = [
        Thread(target=watch),
        *(Thread(target=attack, args=(task.port, who, enough)) for who in (b"", caller)),
    ]
    for worker in workers:
        worker.start()
    try:
        return generate(task), max(peak)
    finally:
        enough.set()
        for worker in workers:
            worker.join()


def _repeated(request: Callable[[bytes], bytes]) -> Attack:
    """Sends the request over and over, and waits for each answer."""

    def attack(port: int, who: bytes, enough: Event) -> None:
        content = request(who)
        while not enough.wait(_REST):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as stranger:
                with suppress(OSError):
                    stranger.sendall(content)
                while stranger.recv(65_536):
                    pass

    return attack


def _half_requests(port: int, who: bytes, enough: Event) -> None:
    """150 connections with half a head: with those of the other sender, 300."""
    strangers: list[socket.socket] = []
    while not enough.wait(_REST):
        while len(strangers) < 150:
            strangers.append(socket.create_connection(("127.0.0.1", port), 10))
            strangers[-1].sendall(b"GET /v1/tickets HTTP/1.1\r\nHost: x\r\n" + who)
    for stranger in strangers:
        stranger.close()


def _head(line: str, who: bytes) -> bytes:
    return f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode() + who


def _post(body: bytes) -> Callable[[bytes], bytes]:
    def request(who: bytes) -> bytes:
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        return _head("POST /v1/tickets", who) + kind + body

    return request


_PARAMETERS: Final = "&".join(f"{number:x}" for number in range(15_000))

ATTACKS: Final[Mapping[str, Attack]] = {
    "64 MB of headers": _repeated(
        lambda who: _head("GET /v1/tickets", who) + b"a: " + b"x" * 64_000_000
    ),
    "300 half requests": _half_requests,
    "15,000 parameters": _repeated(
        lambda who: _head(f"GET /v1/tickets?{_PARAMETERS}", who) + b"\r\n"
    ),
    "names of 1 MB": _repeated(_post(json.dumps(_TICKET | {"name": "x" * 1_000_000}).encode())),
    "nesting of 100,000": _repeated(_post(b"[" * 100_000)),
}


@contextmanager
def _service(folder: Path) -> Iterator[tuple[int, Task]]:
    """A service on SQLite: its process, and what its callers do."""
    folder.mkdir()
    port, secret = free_port(), token_hex(32)
    others = {name: v for name, v in os.environ.items() if not name.startswith("TICKETBOOK")}
    environment = others | {
        "TICKETBOOK_STORE": f"sqlite:///{folder / 'ticketbook.db'}",
        "TICKETBOOK_AUTH_SECRET": secret,
    }
    scopes = ("tickets:read", "tickets:write")
    token = issue_token(
        secret, "bench", _ORGANISATION, scopes, timedelta(hours=1), lambda: datetime.now(UTC)
    )
    ticketbook = str(Path(sys.executable).with_name("ticketbook"))
    with server([ticketbook, "serve", "--port", str(port)], port, environment) as process:
        yield process, Task(port, _CONNECTIONS, 0.0, token, json.dumps(_TICKET), pause=_PAUSE)


def _megabytes(process: int) -> float:
    """The resident memory of a process, as Linux tells it."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
