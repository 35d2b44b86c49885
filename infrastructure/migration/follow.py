"""`follow`: keep up with an old system that is still written to."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic, sleep
from typing import Final

from domain.errors import FollowedTooLate, SourceGone, StoreUnavailable
from infrastructure.migration.changes import listening
from infrastructure.migration.comparison import compare
from infrastructure.migration.counts import Counts
from infrastructure.migration.destination import Destination, DestinationView, translation_of
from infrastructure.migration.notices import Notify, OtherSources
from infrastructure.migration.place import FollowedPlace
from infrastructure.migration.provenance import Provenance
from infrastructure.migration.records import Translation
from infrastructure.migration.source import TICKETS, DatabaseSource
from infrastructure.migration.translators import translating

PATIENCE: Final = 60.0
"""Seconds in which neither side answers before following ends with an error."""

_PAUSE: Final = 0.5
"""Seconds before asking again when one side does not answer."""

_REMEMBER: Final = 10.0
"""Seconds between notes of how far it got while nothing changes."""


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """`gone` says that all sources so far are the same old system."""

    system: str
    gone: bool
    until_idle: bool


@dataclass(frozen=True, slots=True)
class FollowProgress:
    """How many records became what so far, and seconds behind the old system.

    `comparing` is how many records were compared, while all of them are; `trouble` why it waits.
    """

    counts: Counts
    lag: float
    comparing: int | None = None
    trouble: str | None = None


def preview_follow(view: DestinationView, source: DatabaseSource, system: str) -> bool:
    """Whether following would go on where it was; if not, it would compare every record first.
    Raises `UnknownSystem`."""
    translation_of(view.catalogue, system)
    return bool(view.notes and FollowedPlace(view.notes, source, TICKETS).find())


def follow(
    destination: Destination,
    source: DatabaseSource,
    options: FollowOptions,
    notify: Notify,
    tell: Callable[[FollowProgress], None],
) -> Counts:
    """Take over later changes in the old system: for ever, or until nothing is left.

    Safe to interrupt anywhere: it goes on where it was. Raises `SourceGone`, `SourceUnusable`,
    `UnknownSystem`, and `StoreUnavailable` after a minute of it.
    """
    translation = destination.translation(options.system)
    provenance = Provenance(destination.notes, source.name, translation, options.gone)
    if others := provenance.others():
        notify(OtherSources(others))
    follower = _Follower(destination, source, translation, provenance)
    return follower.follow(options.until_idle, tell)


class _Follower:
    """Takes over what changes in one collection, from where it last was.

    Where it is, is kept only after everything up to there is durable; taking a record over twice
    changes nothing. So whatever interrupts it, nothing is missed and nothing doubled. Without a
    place, or with one that the old system no longer remembers, it compares all records first.
    """

    def __init__(
        self,
        destination: Destination,
        source: DatabaseSource,
        translation: Translation,
        provenance: Provenance,
    ) -> None:
        self._source = source
        self._records = source.collection(translation.collection)
        self._translation = translation
        self._importer = destination.importer(translation, self._records)
        self._log = destination.log
        self._place = FollowedPlace(destination.notes, source, translation.collection)
        self._provenance = provenance
        self._progress = FollowProgress(self._importer.counts, 0.0)

    def follow(self, until_idle: bool, tell: Callable[[FollowProgress], None]) -> Counts:
        answered = monotonic()

        def report(progress: FollowProgress) -> None:
            nonlocal answered
            answered = monotonic()
            self._progress = progress
            tell(progress)

        while True:
            try:
                self._go_on(until_idle, report)
                return self._importer.counts
            except FollowedTooLate as error:
                self._place.forget()
                tell(replace(self._progress, trouble=f"{error} All records are compared instead."))
            except SourceGone:
                self._place.forget()
                raise
            except StoreUnavailable as error:
                if monotonic() - answered > PATIENCE:
                    raise
                tell(replace(self._progress, trouble=str(error)))
                sleep(_PAUSE)

    def _go_on(self, until_idle: bool, tell: Callable[[FollowProgress], None]) -> None:
        place = self._place.find()
        if place:
            self._provenance.note()
        else:
            place = self._compare(tell)
        noted = monotonic()
        with listening(self._records, place) as changes:
            while True:
                read_at = self._log.head()
                heard = changes.hear()
                self._importer.take(heard.changes, read_at)
                if heard.changes or monotonic() - noted > _REMEMBER:
                    self._place.keep(heard.token)
                    noted = monotonic()
                tell(FollowProgress(self._importer.counts, heard.lag))
                if until_idle and heard.idle:
                    self._place.keep(heard.token)
                    return

    def _compare(self, tell: Callable[[FollowProgress], None]) -> str:
        """Compare all records. Returns the place to follow from: one from before the first record
        was read."""
        with listening(self._records) as changes:
            place = changes.token

        def compared(number: int) -> None:
            tell(FollowProgress(self._importer.counts, 0.0, comparing=number))

        records = self._provenance.noting(self._source.records(self._records.name))
        imported = self._provenance.may_be_gone(self._log)
        total = self._source.count(self._records.name)
        with translating(self._translation, total) as translate:
            compare(
                *(records, self._records, self._importer, translate),
                *(self._log, imported, compared),
            )
        self._place.keep(place)
        return place
