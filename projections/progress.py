"""How far something has come, and a way to be told when it comes further."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Event, Lock


class Progress:
    """A position that only grows (until `reset`), watched from any thread."""

    def __init__(self, position: int = 0) -> None:
        self._position = position
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._lock = Lock()

    @property
    def position(self) -> int:
        return self._position

    def advance(self, position: int) -> None:
        """Note that `position` is reached; tell who waits for it or for less."""
        due: list[Callable[[], None]] = []
        with self._lock:
            self._position = max(self._position, position)
            while self._waiting and self._waiting[0][0] <= self._position:
                due.append(heappop(self._waiting)[2])
        for callback in due:
            callback()

    def reset(self, position: int) -> None:
        """Start again from `position`, which may be lower: the view is being rebuilt."""
        with self._lock:
            self._position = position

    def when(self, position: int, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once, from any thread, as soon as `position` is reached (maybe at once).
        What is returned cancels that."""
        with self._lock:
            if self._position < position:
                entry = (position, next(self._order), callback)
                heappush(self._waiting, entry)
                return lambda: self._cancel(entry)
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

    def _cancel(self, entry: tuple[int, int, Callable[[], None]]) -> None:
        with self._lock:
            if entry in self._waiting:
                self._waiting.remove(entry)
                heapify(self._waiting)
