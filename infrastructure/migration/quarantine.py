"""Records in quarantine: kept whole, until they can be tickets."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.ticket.events import LegacyRecordQuarantined
from domain.ticket.stream import stream_of
from infrastructure.log.ticket_log import TicketLog
from infrastructure.migration.record_text import as_bytes

_SOME: Final = 500


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """A record of `collection` in quarantine. `id` is its `_id` where that is usable; `record` is
    the text that `whole.py` makes of it; `since` is when it was put there."""

    id: str
    collection: str
    reason: str
    digest: str
    since: datetime
    record: str

    @property
    def bytes(self) -> bytes:
        """The record as it stood in its source."""
        return as_bytes(self.record)


def in_quarantine(log: TicketLog) -> Iterator[QuarantinedRecord]:
    """Every record that is there now, in the order in which they were put there."""
    position = 0
    while some := log.read_topics(position, _SOME, (LegacyRecordQuarantined.TOPIC,)):
        histories = log.histories({recorded.ticket_id for recorded in some})
        for recorded in some:
            history, event = histories[recorded.ticket_id], recorded.event
            last = max(
                one.position for one in history if isinstance(one.event, LegacyRecordQuarantined)
            )
            assert isinstance(event, LegacyRecordQuarantined)
            if recorded.position == last and stream_of(history).quarantined:
                yield _kept(recorded.ticket_id, event)
        position = some[-1].position


def _kept(name: str, event: LegacyRecordQuarantined) -> QuarantinedRecord:
    source, since = event.source, event.origin.occurred_at
    return QuarantinedRecord(
        name, source.collection, event.reason, source.digest, since, event.record
    )
