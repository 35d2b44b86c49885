"""Rebuilds and verifications of a service in threads of this process, where the processes that it
starts for them are not the point: each of those imports everything anew."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Event
from typing import Generic, TypeVar
from unittest.mock import patch

from api.use_cases import workers
from api.use_cases.workers import OpenStores, Work
from domain.errors import StoreUnavailable
from infrastructure.configuration.settings import Settings

T = TypeVar("T")


@contextmanager
def working_in_threads() -> Iterator[None]:
    """Until the block ends, every service in this process works in threads."""
    with patch.object(workers, "_Process", _WorkInThread):
        yield


class _Unwanted(Exception):
    """The work was given up."""


class _WorkInThread(Generic[T]):
    """One piece of work, with connections of its own to the store."""

    def __init__(self, settings: Settings, open_stores: OpenStores, work: Work[T]) -> None:
        self.position = 0
        self._unwanted = Event()
        self._pool = ThreadPoolExecutor(1)
        self._result = self._pool.submit(self._run, settings, open_stores, work)

    def _run(self, settings: Settings, open_stores: OpenStores, work: Work[T]) -> T:
        with open_stores(settings) as stores:
            return work(stores, self._at)

    def _at(self, position: int) -> None:
        if self._unwanted.is_set():
            raise _Unwanted
        self.position = position

    def ended(self, seconds: float) -> bool:
        """Whether it ended, after waiting for that long at most."""
        return bool(wait([self._result], seconds).done)

    def result(self) -> T:
        """Once it has ended. Raises `StoreUnavailable` with what it failed of."""
        try:
            return self._result.result()
        except Exception as error:
            raise StoreUnavailable(f"The work on the view ended early: {error}") from error

    def close(self) -> None:
        self._unwanted.set()
        self._pool.shutdown()
