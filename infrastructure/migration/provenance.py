"""The sources that records were taken over from, stored beside the log. They decide whether a
missing record is gone."""

from collections.abc import Iterable, Iterator, Sequence

from domain.log.ports import EventLog
from domain.ticket.events import LegacyRecordQuarantined, Recorded
from infrastructure.migration.imported_events import every_event, took_over
from infrastructure.migration.records import Translation
from infrastructure.stores import Notes


class Provenance:
    """The sources of the records of one collection, while they come from `source`.

    A record that is missing from one source may stand in another. So no record counts as gone
    while records of the same system came from other sources too, unless all are the `same` old
    system by other names.
    """

    def __init__(
        self, notes: Notes, source: str, translation: Translation, same: bool = False
    ) -> None:
        self._notes = notes
        self._source = source
        self._translation = translation
        self._same = same

    def noting(self, records: Iterable[bytes]) -> Iterator[bytes]:
        """The same records; their source is noted before the first is handed on."""
        for number, record in enumerate(records):
            if not number:
                self.note()
            yield record

    def note(self) -> None:
        """Note that records may come from this source from now on. Durable once this returns."""
        known = self._known(self._translation.system)
        if self._source not in known:
            self._notes.keep(self._name(self._translation.system), [*known, self._source])

    def others(self) -> Sequence[str]:
        """The other sources that records of this system came from; none if they are the same."""
        known = () if self._same else self._known(self._translation.system)
        return [source for source in known if source != self._source]

    def is_shared(self) -> bool:
        """Whether records of other systems came from other sources. Then the system of a record in
        quarantine is unknown."""
        systems = self._translation.catalogue.systems.keys() - {self._translation.system}
        return any(set(self._known(system)) - {self._source} for system in systems)

    def may_be_gone(self, log: EventLog) -> Iterator[Recorded]:
        """The events that took over records which are gone, unless they are in this source."""
        if self.others():
            return
        collection, system = self._translation.collection, self._translation.system
        shared = self.is_shared()
        for recorded in every_event(log):
            if shared and isinstance(recorded.event, LegacyRecordQuarantined):
                continue
            if took_over(recorded, collection, system):
                yield recorded

    def _known(self, system: str | None) -> Sequence[str]:
        return self._notes.find(self._name(system)) or []

    def _name(self, system: str | None) -> str:
        return f"sources {self._translation.collection} {system}"
