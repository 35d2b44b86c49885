"""All connections of a process: how many there may be, and when each must end."""

import asyncio
import os
import resource
from typing import Final, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from api.http.limits import SPARE_DESCRIPTORS, ConnectionLimits

_AGAIN_SECONDS: Final = 60.0
"""Seconds between two lines in the log about the same shortage."""

_LINGERING: Final = 16
"""Most connections above the bound that wait until their refusal is read; where few are let in, an
eighth of those."""

_log = structlog.get_logger(__name__)


class Guarded(Protocol):
    """One connection."""

    def look(self, now: float) -> None:
        """End the connection if its time is over; `now` is the time of the event loop."""


class Connections:
    """The connections of one process. For use on its event loop."""

    def __init__(self, limits: ConnectionLimits, registry: CollectorRegistry) -> None:
        self.limits = limits
        self._most = limits.connections
        self._open: set[Guarded] = set()
        self._refused = 0
        self._reported = float("-inf")
        self._looking = False
        self._ended = Counter(
            "ticketbook_http_connections_ended",
            "Connections that the service ended, by what was wrong.",
            ["reason"],
            registry=registry,
        )
        gauge = Gauge("ticketbook_http_connections", "Connections now.", registry=registry)
        gauge.set_function(lambda: len(self._open))

    def begin(self) -> None:
        """The service begins to listen: from now on as many connections are let in as the
        descriptors that are free now allow."""
        self._most = min(self.limits.connections, _free_descriptors())

    @property
    def problem(self) -> str | None:
        """What keeps new connections out now, for an operator."""
        if len(self._open) < self._most:
            return None
        return (
            f"{self._most} connections are open, and no more are let in. "
            "Raise the limit of open files (ulimit -n), or see who keeps them open."
        )

    def add(self, connection: Guarded, sockets: int) -> bool:
        """Watch the connection from now on; `sockets` are open with it. False when it is one too
        many."""
        self._open.add(connection)
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(self.limits.interval, self._look)
        return max(sockets, len(self._open)) <= self._most

    def remove(self, connection: Guarded) -> None:
        """The connection has ended, or something else watches it now."""
        self._open.discard(connection)

    def refuse(self, sockets: int) -> bool:
        """Note that a connection was one too many, in the log too. True if it may stay until its
        refusal is read."""
        self.ended("too-many-connections")
        self._refused += 1
        now = asyncio.get_running_loop().time()
        if now - self._reported >= _AGAIN_SECONDS:
            self._reported = now
            _log.error("connections.full", most=self._most, refused=self._refused)
        return sockets - self._most <= min(_LINGERING, self._most // 8)

    def ended(self, reason: str) -> None:
        """Count a connection that the service ends."""
        self._ended.labels(reason).inc()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in tuple(self._open):
            connection.look(now)
        self._looking = bool(self._open)
        if self._looking:
            loop.call_later(self.limits.interval, self._look)


def _free_descriptors() -> int:
    """How many connections the file descriptors of this process allow, beside what it has open."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        most = 2**31
    try:
        used = len(os.listdir("/dev/fd"))
    except OSError:  # not everywhere can a process see its own
        used = SPARE_DESCRIPTORS
    spare = SPARE_DESCRIPTORS if most >= 256 else most // 4
    return max(most - used - spare, 1)
