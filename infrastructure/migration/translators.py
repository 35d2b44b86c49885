"""Translating records beside committing them: in a process of its own, where that is worth it.

The process is started afresh and loads no more than it needs; it ends with the process that
started it.
"""

import copyreg
import gc
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import fields
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from operator import attrgetter
from os.path import abspath
from queue import SimpleQueue
from threading import Thread
from traceback import format_exc
from typing import Any, Final

from domain.origin import Origin
from domain.ticket.commands import ImportTicket, QuarantineRecord, event_of
from domain.ticket.events import SourceRecord, TicketImported
from infrastructure.log.codec import encode_event
from infrastructure.migration.records import Translation

Translated = list[tuple[ImportTicket | QuarantineRecord, bytes]]
"""Commands, each with its event as `codec.encode_event` writes it."""

Translate = Callable[[Sequence[bytes], Origin, int | None], Future[Translated]]
"""Records, who takes them over, and where the log ended when they were read: to their commands, in
that order. The future raises `BrokenExecutor`, which says how, if the translator has ended."""

_MANY: Final = 10_000
"""Records from which on a process is started, which takes half a second."""

_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    f"from {__name__} import translate_until_closed; translate_until_closed(int(sys.argv[1]))"
)
"""Finds its modules where the process that started it found them."""


@contextmanager
def translating(translation: Translation, records: int) -> Iterator[Translate]:
    """A translator for about that many records. At the end, batches that were not begun are
    dropped."""
    if records < _MANY:
        threads = ThreadPoolExecutor(1)
        try:
            yield lambda *work: threads.submit(_translate, translation, *work)
        finally:
            threads.shutdown(cancel_futures=True)
        return
    process = _Process()
    try:
        yield lambda *work: process.submit((translation, *work))
    finally:
        process.close()


def _translate(
    translation: Translation, records: Sequence[bytes], origin: Origin, read_at: int | None
) -> Translated:
    commands = (translation.command(record, origin, read_at) for record in records)
    return [(command, encode_event(event_of(command))) for command in commands]


class _Process:
    """Not one of `multiprocessing`: those load all that the command has loaded, which takes a
    second and twice the memory."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), *map(abspath, sys.path)],
            pass_fds=[theirs.fileno()],
            process_group=0,  # Ctrl-C is for whoever started it, who decides when to stop
        )
        theirs.close()
        self._pending = SimpleQueue[Future[Translated] | None]()
        self._thread = Thread(target=self._hear, name="translated", daemon=True)
        self._thread.start()

    def submit(self, work: tuple[Any, ...]) -> Future[Translated]:
        future: Future[Translated] = Future()
        self._pending.put(future)
        with suppress(OSError):  # it has ended: whoever listens to it hears that too, and says how
            self._pipe.send(work)
        return future

    def close(self) -> None:
        self._pending.put(None)
        self._process.kill()
        self._thread.join()
        self._process.wait()
        self._pipe.close()

    def _hear(self) -> None:
        while future := self._pending.get():
            try:
                answer = self._pipe.recv()
            except (EOFError, OSError):
                future.set_exception(BrokenExecutor(self._end()))
            except Exception as error:  # what comes next would answer another question
                self._process.kill()
                future.set_exception(error)
            else:
                if isinstance(answer, str):
                    future.set_exception(RuntimeError(f"Translating failed: {answer}"))
                else:
                    future.set_result(answer)

    def _end(self) -> str:
        code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def translate_until_closed(pipe: int) -> None:
    """Answer until nobody is there to ask. A failure is sent as text: not every exception can be
    sent."""
    gc.disable()  # nothing stays, and nothing is in a cycle: looking takes a fifth of the time
    for kind in (ImportTicket, TicketImported, SourceRecord):
        _pickle_as_call(kind)
    connection: Connection[Translated | str, tuple[Any, ...]] = Connection(pipe)
    answer: Translated | str
    with suppress(EOFError, OSError):  # nobody asks any more
        while True:
            work = connection.recv()
            try:
                answer = _translate(*work)
            except Exception:
                answer = format_exc()
            connection.send(answer)


def _pickle_as_call(kind: type[Any]) -> None:
    """Have it pickled as a call with its fields. As frozen dataclasses do it themselves, reading
    takes three times as long: as long as translating."""
    values = attrgetter(*(field.name for field in fields(kind)))
    copyreg.pickle(kind, lambda command: (kind, values(command)))
