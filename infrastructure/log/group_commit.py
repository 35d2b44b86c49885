"""Group commit: while one batch is being committed, the items that arrive form the next."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Final, Generic, TypeVar

from domain.errors import Overloaded, StoreUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH: Final = 500
"""Most items in one batch, by default."""

BACKLOG: Final = 20_000
"""Most items that may wait; with more, `submit` raises `Overloaded`."""


class GroupCommit(Generic[Item, Result]):
    """Passes items to `settle` in arrival order, a batch at a time, on a thread of its own.

    `settle` returns one result or exception for each item. If it raises, every item of the batch
    gets that exception, and the next batch goes on.
    """

    def __init__(
        self,
        settle: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        name: str,
        batch: int = BATCH,
    ) -> None:
        self._settle = settle
        self._batch = batch
        self._waiting: SimpleQueue[tuple[Item, Callable[[Result | Exception], object]] | None] = (
            SimpleQueue()
        )
        self._lock = Lock()
        self._closed = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def hand_in(self, item: Item, tell: Callable[[Result | Exception], object]) -> None:
        """Queue an item. `tell` is called with its result or exception, on the group's thread. It
        must be quick, and its own exceptions are ignored."""
        self.hand_in_all((item,), tell)

    def hand_in_all(
        self, items: Sequence[Item], tell: Callable[[Result | Exception], object]
    ) -> None:
        """Queue several items, with no others between them; `tell` is called for each, in order."""
        with self._lock:
            if self._closed:
                raise StoreUnavailable("The service is shutting down; nothing was stored.")
            if self._waiting.qsize() >= BACKLOG:
                raise Overloaded("Too many commands are waiting; nothing was stored. Try later.")
            for item in items:
                self._waiting.put((item, tell))

    def submit(self, item: Item) -> Future[Result]:
        """The future of the item's result, for callers that can block."""
        future: Future[Result] = Future()

        def tell(result: Result | Exception) -> None:
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.hand_in(item, tell)
        return future

    def close(self) -> None:
        """Settle the submitted items, then stop."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        last = False
        while not last:
            batch = []
            entry = self._waiting.get()
            while entry is not None:
                batch.append(entry)
                if len(batch) == self._batch:
                    break
                try:
                    entry = self._waiting.get_nowait()
                except Empty:
                    break
            last = entry is None
            if batch and not self._answer(batch):
                last = self._turn_away() or last

    def _turn_away(self) -> bool:
        """Fail every waiting item, as the store does not answer: otherwise each batch would wait
        for the store again, and the last caller for minutes. True if the queue was closed."""
        last = False
        with suppress(Empty):
            while True:
                entry = self._waiting.get_nowait()
                if entry is None:
                    last = True
                else:
                    with suppress(Exception):
                        entry[1](StoreUnavailable("The store does not answer; nothing was stored."))
        return last

    def _answer(self, batch: list[tuple[Item, Callable[[Result | Exception], object]]]) -> bool:
        """Settle a batch; False if the store did not answer."""
        results: Sequence[Result | Exception]
        answered = True
        try:
            results = self._settle([item for item, _ in batch])
        except Exception as error:  # the thread must outlive any batch; each caller gets the error
            results = [error] * len(batch)
            answered = not isinstance(error, StoreUnavailable)
        for (_, tell), result in zip(batch, results, strict=True):
            with suppress(Exception):
                tell(result)
        return answered
