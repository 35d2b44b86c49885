"""Starting what a measurement needs, and stopping it again."""

import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic, sleep


class NotHere(Exception):
    """This machine lacks what a comparison needs. The message says what."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(
    command: Sequence[str], port: int, environment: Mapping[str, str], user: str | None = None
) -> Iterator[int]:
    """The id of a server's process, which runs until the block ends; it is ready once `port` takes
    connections."""
    with subprocess.Popen(
        command, env=environment, user=user, stdout=subprocess.DEVNULL
    ) as process:
        try:
            _await_port(port, process)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + 20
    while monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            sleep(0.05)
    raise NotHere(f"{process.args!r} does not take connections on port {port}")
