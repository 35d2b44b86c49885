"""A growing position, and calls back when it reaches a given one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Event, Lock


class Progress:
    """A position that only grows. Safe from any thread."""

    def __init__(self, position: int = 0) -> None:
        self._position = position
        self._waiting: list[_Wait] = []
        self._cancelled = 0
        self._order = count()
        self._lock = Lock()
        self.awaited = Event()
        """Set when a caller begins to wait. The thread that makes the progress clears it."""

    @property
    def position(self) -> int:
        return self._position

    def advance(self, position: int) -> None:
        """Note that `position` is reached, and call back everything that waits for it or for
        less."""
        due: list[Callable[[], None]] = []
        with self._lock:
            self._position = max(self._position, position)
            while self._waiting and self._waiting[0].position <= self._position:
                due.append(heappop(self._waiting).callback)
        for callback in due:
            callback()

    def when(self, position: int, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once, from any thread, as soon as `position` is reached (maybe at once).
        Returns a function that cancels the call."""
        with self._lock:
            if self._position < position:
                wait = _Wait(position, next(self._order), callback)
                heappush(self._waiting, wait)
                self.awaited.set()
                return lambda: self._cancel(wait)
        callback()
        return lambda: None

    def wait(self, position: int, timeout: float) -> bool:
        """Block until `position` is reached; False when `timeout` seconds pass first."""
        if self._position >= position:
            return True
        reached = Event()
        cancel = self.when(position, reached.set)
        if reached.wait(timeout):
            return True
        cancel()
        return False

    def _cancel(self, wait: "_Wait") -> None:
        with self._lock:
            wait.callback = _nothing
            self._cancelled += 1
            if 2 * self._cancelled > len(self._waiting):  # many at a time: to remove one costs O(n)
                self._waiting = [w for w in self._waiting if w.callback is not _nothing]
                heapify(self._waiting)
                self._cancelled = 0


@dataclass(order=True, slots=True)
class _Wait:
    position: int
    order: int
    callback: Callable[[], None] = field(compare=False)


def _nothing() -> None:
    """The callback of a cancelled wait."""
