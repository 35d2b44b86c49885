"""Keeping up with an old system that is still written to."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic, sleep
from typing import Final, Protocol

from domain.errors import FollowedTooLate, SourceGone, StoreUnavailable
from domain.log.ports import EventLog
from infrastructure.migration.changes import listening
from infrastructure.migration.comparison import compare
from infrastructure.migration.intake import Intake, Taken
from infrastructure.migration.provenance import Provenance
from infrastructure.migration.source import DatabaseSource

PATIENCE: Final = 60.0
"""Seconds in which neither side answers before following ends with an error."""

_PAUSE: Final = 0.5
_REMEMBER: Final = 10.0
"""Seconds between notes of how far it got while nothing changes."""


class Places(Protocol):
    """Remembers durably how far the changes of a collection were taken over."""

    def find(self) -> str | None:
        """The place that was kept last; None when there is none."""

    def keep(self, place: str) -> None: ...

    def forget(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FollowProgress:
    """How following stands: what was taken over so far, and seconds behind the old system.

    `comparing` is how many records were compared, while all of them are; `trouble` why it waits.
    """

    taken: Taken
    lag: float
    comparing: int | None = None
    trouble: str | None = None


class Follower:
    """Takes over what changes in one collection, from where it last was.

    Where it is, is kept in `places` only after everything up to there is durable; taking a record
    over twice changes nothing. So whatever interrupts it, nothing is missed and nothing doubled.
    Without a place, or with one that the old system no longer remembers, it compares all records
    first.
    """

    def __init__(
        self,
        source: DatabaseSource,
        collection: str,
        intake: Intake,
        log: EventLog,
        places: Places,
        provenance: Provenance,
    ) -> None:
        self._source = source
        self._records = source.collection(collection)
        self._intake = intake
        self._log = log
        self._places = places
        self._provenance = provenance
        self._standing = FollowProgress(Taken(), 0.0)

    def follow(self, until_idle: bool, tell: Callable[[FollowProgress], None]) -> Taken:
        """For ever, or until nothing is left to take over. Raises `SourceGone`, `SourceUnusable`,
        `StoreUnavailable` after a minute of it."""
        answered = monotonic()

        def told(standing: FollowProgress) -> None:
            nonlocal answered
            answered = monotonic()
            self._standing = standing
            tell(standing)

        while True:
            try:
                self._go_on(until_idle, told)
                return self._standing.taken
            except FollowedTooLate as error:
                self._places.forget()
                tell(replace(self._standing, trouble=f"{error} All records are compared instead."))
            except SourceGone:
                self._places.forget()
                raise
            except StoreUnavailable as error:
                if monotonic() - answered > PATIENCE:
                    raise
                tell(replace(self._standing, trouble=str(error)))
                sleep(_PAUSE)

    def _go_on(self, until_idle: bool, tell: Callable[[FollowProgress], None]) -> None:
        place = self._places.find()
        if place:
            self._provenance.note()
        else:
            place = self._compare(tell)
        noted = monotonic()
        with listening(self._records, place) as changes:
            while True:
                read_at = self._log.head()
                heard = changes.hear()
                taken = self._standing.taken + self._intake.take(heard.changes, read_at)
                if heard.changes or monotonic() - noted > _REMEMBER:
                    self._places.keep(heard.token)
                    noted = monotonic()
                tell(FollowProgress(taken, heard.lag))
                if until_idle and heard.idle:
                    self._places.keep(heard.token)
                    return

    def _compare(self, tell: Callable[[FollowProgress], None]) -> str:
        """Compare all records. Returns the place to follow from: one from before the first record
        was read."""
        with listening(self._records) as changes:
            place = changes.token
        before = self._standing.taken

        def compared(number: int, taken: Taken) -> None:
            tell(FollowProgress(before + taken, 0.0, comparing=number))

        every = self._provenance.noting(self._source.records(self._records.name))
        came = self._provenance.may_be_gone(self._log)
        compare(every, self._records, self._intake, self._log, came, compared)
        self._places.keep(place)
        return place
