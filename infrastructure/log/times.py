"""The clock and the log: what the log recorded ahead of the clock, and the questions that this
leaves without a true answer."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final, Protocol

from domain.errors import ClockAhead, LogAhead
from domain.log.ports import Clock
from domain.origin import iso

TOLERANCE: Final = timedelta(seconds=5)
"""Most difference between two clocks, or a clock and the log, that means nothing."""

MOST_AHEAD: Final = timedelta(minutes=1)
"""Most time by which a commit may lie ahead of the store's own clock."""

NOTE: Final = "log.ahead"
"""The note that holds the gaps: `[[since, until], …]`, ISO 8601."""

_MOST_GAPS: Final = 100
"""Most gaps that are kept; the oldest go first."""

_log = logging.getLogger(__name__)


class _Notes(Protocol):
    def find(self, name: str) -> Any: ...

    def keep(self, name: str, value: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Gap:
    """From `since` on the log ran ahead of the clock: whatever happened before `until` was recorded
    then or later. The log cannot tell what was true at a moment in between."""

    since: datetime
    until: datetime

    def holds(self, moment: datetime) -> bool:
        """True for a moment that the log cannot tell of."""
        return self.since <= moment < self.until


class LogTimes:
    """Compares the clock of this process with the log and with the store's own clock.

    - `store_clock`: the store's own clock; None where that is the clock of this machine.
    - `last_recorded`: the time of the last event, None for an empty log.
    """

    def __init__(
        self,
        notes: _Notes,
        clock: Clock,
        store_clock: Clock | None,
        last_recorded: Callable[[], datetime | None],
    ) -> None:
        self._notes = notes
        self._clock = clock
        self._store_clock = store_clock
        self._last_recorded = last_recorded
        self._noticed: Gap | None = None
        self._lock = Lock()

    def check_commit(self, last_recorded: datetime) -> None:
        """Before a commit to a log whose last event was recorded at `last_recorded`: raise
        `ClockAhead` if the commit would carry the log away from the store's own clock. The log
        would stay there until all clocks have come so far."""
        self.notice(last_recorded)
        if self._store_clock is None:
            return
        now, theirs = self._clock(), self._store_clock()
        if now > max(theirs + MOST_AHEAD, last_recorded):
            raise ClockAhead(
                f"It is {iso(now)} by the clock of this machine and {iso(theirs)} by the store's: "
                "nothing is stored. Set both clocks right; NTP keeps them so."
            )

    def problem(self) -> str | None:
        """What is wrong with the clock of this process, by the store's, if anything is."""
        if self._store_clock is None:
            return None
        difference = self._clock() - self._store_clock()
        if abs(difference) <= TOLERANCE:
            return None
        way = "ahead of" if difference > timedelta() else "behind"
        return (
            f"The clock of this machine is {abs(difference.total_seconds()):.0f} s {way} the "
            "store's. Set both right; NTP keeps them so."
        )

    def refuses_commits(self) -> bool:
        """True if the clock of this process is so far ahead of the store's that commits are
        refused."""
        return self._store_clock is not None and self._clock() - self._store_clock() > MOST_AHEAD

    def ahead(self) -> timedelta:
        """How far the log ends ahead of the clock; nothing within `TOLERANCE`. Raises
        `StoreUnavailable`."""
        last = self._last_recorded()
        return self.notice(last) if last else timedelta()

    def notice(self, last_recorded: datetime) -> timedelta:
        """The same, given the time of the last event. Notes where the gap begins."""
        now = self._store_clock() if self._store_clock else self._clock()
        ahead = last_recorded - now
        if ahead <= TOLERANCE:
            return timedelta()
        with self._lock:
            noticed = self._noticed
            if noticed is None or not noticed.since <= now < last_recorded <= noticed.until:
                # a little more than need be: another process may go on ahead of the clock
                until = last_recorded + (TOLERANCE if noticed else timedelta())
                self._noticed = self._keep(Gap(now, until))
        return ahead

    def refuse(self, moment: datetime) -> None:
        """Raise `LogAhead` for a moment that the log cannot tell of."""
        self.ahead()
        for gap in self._gaps():
            if gap.holds(moment):
                raise LogAhead(
                    f"The log ran ahead of the clock: what happened from {iso(gap.since)} on is "
                    f"recorded at {iso(gap.until)} or later, so nobody can say what was true at "
                    f"{iso(moment)}. Ask by position, or for a time outside of these."
                )

    def _gaps(self) -> Sequence[Gap]:
        stored = self._notes.find(NOTE) or ()
        return [Gap(*map(datetime.fromisoformat, each)) for each in stored]

    def _keep(self, gap: Gap) -> Gap:
        """Store the gap, joined to those that it touches; the gap as it is stored."""
        gaps = list(self._gaps())
        joined = [each for each in gaps if each.since <= gap.until and gap.since <= each.until]
        widened = Gap(
            min(each.since for each in [gap, *joined]), max(each.until for each in [gap, *joined])
        )
        if joined != [widened]:
            _log.error(
                "log.ahead_of_clock since=%s until=%s: questions about times in between are "
                "refused; set the clocks of all machines right",
                iso(widened.since),
                iso(widened.until),
            )
            others = [each for each in gaps if each not in joined]
            value = [
                [iso(each.since), iso(each.until)] for each in [*others, widened][-_MOST_GAPS:]
            ]
            self._notes.keep(NOTE, value)
        return widened
