"""Learning of what other processes do: their commits, and the views they keep current."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

import structlog

from api.use_cases.service import Service
from infrastructure.stores import Watcher

_PAUSE: Final = 0.2
"""Seconds before listening again after a failure."""

_log = structlog.get_logger(__name__)


@contextmanager
def watch(watcher: Watcher, service: Service) -> Iterator[None]:
    """Tell the service of everything that the watcher hears, until the block ends."""
    stop, presence = Event(), _Presence()

    def look() -> None:
        for _ in watcher.changes(stop):
            service.catalogue.current()  # a changed file counts once two looks saw it the same
            service.head.advance(service.log.head())
            for projection in service.projections.values():
                projection.look()
            if presence.back():
                _log.info("store.back", position=service.head.position)

    def keep_looking() -> None:
        while not stop.is_set():
            try:
                look()
            except Exception as error:  # deaf, this process would serve on and never catch up
                if presence.away():
                    _log.error("store.away", problem=str(error))
                stop.wait(_PAUSE)

    thread = Thread(target=keep_looking, name="watcher", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class _Presence:
    """Whether the store answered last: each change of that is told once."""

    def __init__(self) -> None:
        self._here = True

    def away(self) -> bool:
        """Note that the store does not answer. True if it did before."""
        was_here, self._here = self._here, False
        return was_here

    def back(self) -> bool:
        """Note that the store answers. True if it did not before."""
        was_here, self._here = self._here, True
        return not was_here
