"""Who still calls in the old way: counted in passing, and kept in the store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Condition, Thread
from typing import Final, Protocol

import structlog

from domain.log.ports import Clock
from domain.origin import milliseconds

EVERY: Final = 2.0
"""Seconds between writing down what was counted. A killed process forgets as much."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LegacyCalls:
    """How often a caller (a user's id, or `unknown`) took one of the old routes."""

    caller: str
    route: str
    calls: int
    first_at: datetime
    last_at: datetime

    def and_then(self, later: "LegacyCalls") -> "LegacyCalls":
        return replace(self, calls=self.calls + later.calls, last_at=later.last_at)


class LegacyUsage(Protocol):
    """The counts in a store. Both methods raise `StoreUnavailable`."""

    def add(self, calls: Sequence[LegacyCalls]) -> None:
        """Add to what was counted before."""

    def all(self) -> Sequence[LegacyCalls]:
        """Everything counted, the latest call first."""


class UsageCounter:
    """Counts in memory, and writes down from a thread of its own: no call waits for that. The
    thread sleeps while nobody calls."""

    def __init__(self, usage: LegacyUsage, clock: Clock) -> None:
        self._usage = usage
        self._clock = clock
        self._counted: dict[tuple[str, str], LegacyCalls] = {}
        self._changed = Condition()
        self._stopping = False
        self._thread = Thread(target=self._run, name="legacy-usage", daemon=True)
        self._thread.start()

    def count(self, caller: str, route: str) -> None:
        now = milliseconds(self._clock())
        with self._changed:
            self._add(LegacyCalls(caller, route, 1, now, now))
            self._changed.notify()

    def close(self) -> None:
        """Write down the rest, and end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _add(self, calls: LegacyCalls) -> None:
        key = (calls.caller, calls.route)
        before = self._counted.get(key)
        self._counted[key] = before.and_then(calls) if before else calls

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._counted or self._stopping)
                self._changed.wait_for(lambda: self._stopping, EVERY)
                stopping, counted = self._stopping, self._counted
                self._counted = {}
            self._write_down(counted)
            if stopping:
                return

    def _write_down(self, counted: dict[tuple[str, str], LegacyCalls]) -> None:
        try:
            if counted:
                self._usage.add(list(counted.values()))
        except Exception as error:  # whatever it is, the next calls must be counted too
            _log.warning("legacy.usage_not_written", problem=str(error))
            with self._changed:  # the next round takes it along
                newer, self._counted = self._counted, counted
                for calls in newer.values():
                    self._add(calls)
