"""Counting the calls on the old routes, beside the calls themselves."""

from threading import Condition, Thread
from typing import Final

import structlog

from domain.log.ports import Clock
from domain.origin import milliseconds
from infrastructure.legacy_usage import LegacyCalls, LegacyUsage

EVERY: Final = 2.0
"""Seconds between two writes of the counts: a killed process loses at most that much."""

_log = structlog.get_logger(__name__)


class UsageCounter:
    """Counts in memory, and writes the counts to the store in a thread of its own, so that no call
    waits. The thread sleeps while there are no calls."""

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
