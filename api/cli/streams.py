"""Standard output and error that any text can be written to, be it a terminal, a file or a pipe.

- Text that the encoding of a stream lacks is escaped, never an error.
- stdout that cannot be written raises `OutputUnwritable`; one whose reader has gone raises
  `ReaderGone`. Neither is an `OSError`, so that nothing takes it for one of a file or a socket.
- stderr that cannot be written loses its text: the exit code still gives the finding of a command.
"""

import errno
import os
import select
import sys
from io import BufferedWriter, RawIOBase, TextIOWrapper, UnsupportedOperation
from typing import Any, Final, TextIO

_STREAMS: Final = 3
"""Descriptors 0, 1 and 2 are stdin, stdout and stderr."""


class ReaderGone(Exception):
    """Nobody reads stdout any more."""


class OutputUnwritable(Exception):
    """stdout is closed, or there is no room for it. The message is the system's reason."""


def prepare_streams() -> None:
    """Replace stdout and stderr. A stream that is no descriptor of the system stays as it is."""
    _reserve_descriptors()
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115  # as long as the process
    sys.stdout = _replaced(sys.stdout, _Output)
    sys.stderr = _replaced(sys.stderr, _Messages)


def _reserve_descriptors() -> None:
    """Fill the numbers of closed streams. Otherwise the next file, which may be the store, gets
    one of them, and text for a stream is written into it."""
    for number in range(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number: this one


def _replaced(stream: TextIO | None, kind: "type[_Raw]") -> TextIO:
    if stream is None:  # it was closed; a file that can only be read refuses all text
        return _text(kind(os.open(os.devnull, os.O_RDONLY)), "utf-8")
    try:
        descriptor = stream.fileno()
    except (UnsupportedOperation, AttributeError):
        return stream
    stream.flush()
    return _text(kind(descriptor), stream.encoding)


def _text(raw: "_Raw", encoding: str) -> TextIO:
    return TextIOWrapper(
        BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=raw.isatty()
    )


class _Raw(RawIOBase):
    """Writes to a descriptor that it does not own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lost = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        if self._lost:  # buffers are written again when they are closed
            return len(data)
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # another process made the pipe non-blocking
                select.select([], [self._descriptor], [])
            except OSError as error:
                self._lost = True
                self._refuse(error)
                return len(data)

    def _refuse(self, error: OSError) -> None:
        raise NotImplementedError


class _Output(_Raw):
    def _refuse(self, error: OSError) -> None:
        if error.errno == errno.EPIPE:
            raise ReaderGone from error
        raise OutputUnwritable(error.strerror) from error


class _Messages(_Raw):
    def _refuse(self, error: OSError) -> None:
        """Lose the text: the finding of a command decides its exit code."""
