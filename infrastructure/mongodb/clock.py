"""The primary's clock, asked for seldom and continued by this machine's monotonic one."""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock
from time import monotonic as machine_seconds
from typing import Final

from pymongo.database import Database

from infrastructure.mongodb.client import Document
from infrastructure.mongodb.failures import answering

_FRESH: Final = 10.0
"""Seconds after which the primary is asked again. A machine that slept counts none of them: for as
long it may take the primary's clock to be late by its sleep."""


class MongoDBClock:
    """The time by the primary's clock, late by at most the way of its answer. Raises
    `StoreUnavailable`."""

    def __init__(
        self, database: Database[Document], monotonic: Callable[[], float] = machine_seconds
    ) -> None:
        self._database = database
        self._monotonic = monotonic
        self._known: tuple[datetime, float] | None = None
        self._lock = Lock()

    def __call__(self) -> datetime:
        with self._lock:
            known = self._known
            if known is None or self._monotonic() - known[1] > _FRESH:
                known = self._known = self._ask()
        theirs, asked_at = known
        return theirs + timedelta(seconds=self._monotonic() - asked_at)

    def _ask(self) -> tuple[datetime, float]:
        with answering():
            answer = self._database.command("hello", codec_options=self._database.codec_options)
        theirs: datetime = answer["localTime"]
        return theirs, self._monotonic()
