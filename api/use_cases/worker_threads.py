"""Work on a small store in threads of this process: to start another takes longer than the work."""

from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event
from typing import Final, Generic, TypeVar

from api.use_cases.work import OpenStores, Unwanted, Work, ended_early
from infrastructure.configuration.settings import Settings

SMALL: Final = 20_000
"""Events up to which a log is small: all work on a view of it takes about a second."""

T = TypeVar("T")


class WorkerThread(Generic[T]):
    """One piece of work, with connections of its own to the store."""

    def __init__(self, settings: Settings, open_stores: OpenStores, work: Work[T]) -> None:
        self.position = 0
        self._unwanted = Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="worker")
        self._result = self._pool.submit(self._run, settings, open_stores, work)

    def _run(self, settings: Settings, open_stores: OpenStores, work: Work[T]) -> T:
        with open_stores(settings) as stores:
            return work(stores, self._at)

    def _at(self, position: int) -> None:
        if self._unwanted.is_set():
            raise Unwanted
        self.position = position

    def ended(self, seconds: float) -> bool:
        """Wait for at most so long; True once it has a result, or has failed."""
        return bool(wait([self._result], seconds).done)

    def result(self) -> T:
        """The result, once it has ended. Raises `StoreUnavailable` with its failure."""
        try:
            return self._result.result()
        except Exception as error:
            raise ended_early(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        self._unwanted.set()
        self._pool.shutdown()
