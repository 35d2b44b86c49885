"""Commands of this process on standard streams that fail, or can take little."""

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from tempfile import TemporaryFile
from termios import TIOCSWINSZ
from threading import Thread
from typing import Final, TextIO
from unittest.mock import patch

from tests.support.command import run_on

STDOUTS: Final = ("closed", "full", "gone", "ascii", "cp1252", "40 columns")
STDERRS: Final = ("closed", "full", "gone", "ascii", "cp1252", "40 columns")

NARROW: Final = 40


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


@contextmanager
def _stream(kind: str) -> Iterator[tuple[TextIO | None, "Content"]]:
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
            with TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
                with os.fdopen(descriptor, "w", encoding=encoding) as stream:
                    yield stream, lambda: os.pread(file.fileno(), 10_000_000, 0)
