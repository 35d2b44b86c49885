"""Commands of this process on standard streams that fail, or can take little."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from threading import Thread
from typing import Final, TextIO
from unittest.mock import patch

from tests.support.command import run_on

STREAMS: Final = ("closed", "full", "gone", "ascii", "cp1252", "40 columns")

NARROW: Final = 40
"""Columns of a terminal."""

_MOST: Final = 10_000_000
"""More bytes than a command of a test prints."""


@dataclass(frozen=True, slots=True)
class Printed:
    """The end of a command: what arrived on both streams, where something can arrive."""

    code: int
    stdout: bytes
    stderr: bytes


def run_with(
    *arguments: str, store: str, stdout: str = "utf-8", stderr: str = "utf-8", stdin: str = ""
) -> Printed:
    """Run a command in this process with descriptors of the system as its streams. A stream is
    closed, full, gone (a pipe without a reader), 40 columns (a terminal), or an encoding."""
    with ExitStack() as stack:
        out, out_content = stack.enter_context(_stream(stdout))
        err, err_content = stack.enter_context(_stream(stderr))
        if "40 columns" in (stdout, stderr):
            stack.enter_context(patch.dict(os.environ, COLUMNS=str(NARROW)))
        code = run_on(out, err, *arguments, store=store, stdin=stdin)
        for stream in (out, err):
            if stream is not None:
                stream.close()
        return Printed(code, out_content(), err_content())


Content = Callable[[], bytes]


@contextmanager
def _stream(kind: str) -> Iterator[tuple[TextIO | None, Content]]:
    """The stream, and what reads all that arrived once the stream is closed."""
    match kind:
        case "closed":
            yield None, bytes
        case "full":
            with open("/dev/full", "w", encoding="utf-8") as full:
                yield full, bytes
        case "gone":
            reader, writer = os.pipe()
            os.close(reader)
            with os.fdopen(writer, "w", encoding="utf-8") as pipe:
                yield pipe, bytes
        case "40 columns":
            with _terminal() as (terminal, content):
                yield terminal, content
        case encoding:
            with (
                TemporaryFile() as file,
                os.fdopen(os.dup(file.fileno()), "w", encoding=encoding) as stream,
            ):
                yield stream, lambda: os.pread(file.fileno(), _MOST, 0)


@contextmanager
def _terminal() -> Iterator[tuple[TextIO, Content]]:
    screen, device = os.openpty()
    shown: list[bytes] = []

    def read() -> None:
        with suppress(OSError):  # it ends so when nobody has the terminal open any more
            while content := os.read(screen, 10_000):
                shown.append(content)

    def content() -> bytes:
        reader.join()
        return b"".join(shown)

    reader = Thread(target=read)
    reader.start()
    try:
        with os.fdopen(device, "w", encoding="utf-8") as terminal:
            yield terminal, content
    finally:
        reader.join()
        os.close(screen)
