"""The limits of every request over HTTP: they are measured before anything looks at what was sent,
and before the caller is known. docs/clients.md lists them."""

from dataclasses import dataclass
from typing import Final

HEAD_BYTES: Final = 65_536
"""Most bytes in the head of a request: its first line and its headers."""

HEADERS: Final = 100
"""Most headers in one request."""

PATH_BYTES: Final = 4_096
"""Most bytes in a path, percent-encoded as it was sent."""

QUERY_BYTES: Final = 32_768
"""Most bytes in a query, percent-encoded as it was sent."""

PARAMETERS: Final = 100
"""Most parameters in one query."""

BODY_BYTES: Final = 1_048_576
"""Most bytes in the body of a request."""

SENT_BYTES: Final = 4 * BODY_BYTES
"""Most bytes that a connection takes for one body, with the framing of chunks and with what is
only thrown away because the request is refused already."""

PIPELINED: Final = 16
"""Most requests that a connection may send ahead of their answers."""

HEAD_SECONDS: Final = 10.0
"""Seconds that the head of a request may take, from its first byte."""

BODY_SECONDS: Final = 30.0
"""Seconds that the body of a request may take, from the end of its head."""

IDLE_SECONDS: Final = 30.0
"""Seconds that a connection stays open without a request."""

ANSWER_SECONDS: Final = 60.0
"""Seconds for which a client may take nothing of its answer."""

LINGER_SECONDS: Final = 2.0
"""Seconds between a refusal and the end of its connection, while what still comes is thrown away:
a connection closed at once could take the refusal with it."""

LINGER_BYTES: Final = 1_048_576
"""Most bytes that are thrown away meanwhile."""

CONNECTIONS: Final = 10_000
"""Most connections at once, where there are descriptors enough."""

SPARE_DESCRIPTORS: Final = 64
"""File descriptors that are kept for the stores, files and refusals; of fewer than 256 a quarter
is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """The limits of connections. Tests choose shorter times, and fewer connections."""

    head_seconds: float = HEAD_SECONDS
    body_seconds: float = BODY_SECONDS
    idle_seconds: float = IDLE_SECONDS
    answer_seconds: float = ANSWER_SECONDS
    linger_seconds: float = LINGER_SECONDS
    connections: int = CONNECTIONS

    @property
    def interval(self) -> float:
        """Seconds between two looks at all connections."""
        times = (self.head_seconds, self.body_seconds, self.idle_seconds, self.linger_seconds)
        return min(times) / 4
