"""Clients that write and read a service without pause, and keep count of what they saw."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from time import monotonic

from tests.support.server import TICKET, Answer, Wire, new_id, token_for


@dataclass
class Seen:
    """What the clients saw since the last look: seconds per write, the seconds for which a read
    without a position had been out of date, how many of those showed less than a read before them
    had shown, and reads."""

    writes: list[float] = field(default_factory=list)
    out_of_date: list[float] = field(default_factory=list)
    went_back: int = 0
    reads: int = 0

    def p99(self) -> float:
        """Seconds that a write takes."""
        return _at(self.writes, 0.99)

    def late(self, share: float) -> float:
        """Seconds for which that share of the reads was out of date at most."""
        return _at(self.out_of_date, share)


def _at(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


class Traffic:
    """Pairs of a writer, which changes a ticket of its own over and over, and a reader of it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = Event()
        self._lock = Lock()
        self._seen = Seen()
        self.failures: list[BaseException] = []
        self.reads = 0
        """How often anybody has read since the beginning."""
        self.written: dict[str, Answer] = {}
        """The last answer to a write, by the ticket's path."""

    def look(self) -> Seen:
        with self._lock:
            seen, self._seen = self._seen, Seen()
            return seen

    def write(self) -> None:
        """One pair, until told to stop."""
        headers = {"Authorization": f"Bearer {token_for(new_id())}"}
        with closing(Wire(self._url, headers)) as wire:
            first = wire.ask("POST", "/v1/tickets", TICKET)
            path = first.headers["Location"]
            self.written[path] = first
            times = [monotonic()]  # when version n + 1 was acknowledged
            reader = Thread(target=self.guarded, args=(self._read, headers, path, times))
            reader.start()
            number = 1
            while not self._stop.is_set():
                number += 1
                started = monotonic()
                tag = self.written[path].headers["ETag"]
                answer = wire.ask("PATCH", path, {"name": f"Shift {number}"}, If_Match=tag)
                assert answer.status == 200, answer
                times.append(monotonic())
                self.written[path] = answer
                with self._lock:
                    self._seen.writes.append(times[-1] - started)
            reader.join()

    def _read(self, headers: dict[str, str], path: str, times: list[float]) -> None:
        with closing(Wire(self._url, headers)) as wire:
            number = latest = 0
            while not self._stop.is_set():
                number += 1
                known = self.written[path]
                if number % 2:
                    position = known.headers["Event-Position"]
                    answer = wire.ask("GET", path, Min_Event_Position=position)
                    assert answer.status == 200, answer
                    assert _version(answer) >= _version(known)
                    latest = max(latest, _version(answer))
                else:
                    asked = monotonic()
                    answer = wire.ask("GET", path)
                    if answer.status == 200:
                        self._note(_version(answer), latest, asked, times)
                        latest = max(latest, _version(answer))
                    else:  # not there yet, in the first moment
                        assert (answer.status, number) == (404, 2), answer
                with self._lock:
                    self._seen.reads += 1
                    self.reads += 1

    def _note(self, version: int, latest: int, asked: float, times: list[float]) -> None:
        newer = times[version] if version < len(times) else asked
        with self._lock:
            self._seen.out_of_date.append(max(asked - newer, 0.0))
            self._seen.went_back += version < latest

    def guarded(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except BaseException as error:
            self.failures.append(error)
            self._stop.set()

    def stop(self) -> None:
        self._stop.set()


def _version(answer: Answer) -> int:
    return int(answer.headers["ETag"].strip('"'))


@contextmanager
def traffic(url: str, pairs: int = 4) -> Iterator[Traffic]:
    """Until the block ends. Raises what any client stumbled over."""
    clients = Traffic(url)
    threads = [Thread(target=clients.guarded, args=(clients.write,)) for _ in range(pairs)]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        clients.stop()
        for thread in threads:
            thread.join()
    if clients.failures:
        raise clients.failures[0]
