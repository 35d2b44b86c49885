"""Bringing the tickets in line with all records of a source, also after earlier runs."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final

from bson import ObjectId

from domain.log.ports import EventLog
from domain.ticket.events import Recorded
from infrastructure.migration.changes import read
from infrastructure.migration.chunks import chunks
from infrastructure.migration.importer import Importer
from infrastructure.migration.restoring import Records
from infrastructure.migration.translators import Translate

_STREAMS: Final = 1_000
"""Streams whose records are looked for together."""


def compare(
    records: Iterable[bytes],
    collection: Records,
    importer: Importer,
    translate: Translate,
    log: EventLog,
    imported: Iterable[Recorded],
    tell: Callable[[int], None],
) -> None:
    """Take over `records`, which are all that there are in `collection`, and note which are gone of
    those that were `imported` by these events. `tell` gets the number of records compared."""
    compared = 0

    def report(number: int) -> None:
        nonlocal compared
        compared = number
        tell(number)

    streams = importer.take_all(records, translate, report)
    for stream_ids in _still_unseen(imported, streams):
        read_at = log.head()
        importer.remove(_gone(collection, stream_ids), read_at)
        tell(compared)


def _still_unseen(imported: Iterable[Recorded], streams: Collection[str]) -> Iterator[list[str]]:
    """The streams of the imported records, without those whose record has no ObjectId and is
    there: no query finds it by the name of its stream."""
    for stream_ids in chunks((recorded.ticket_id for recorded in imported), _STREAMS):
        yield [stream for stream in stream_ids if stream not in streams]


def _gone(collection: Records, stream_ids: Sequence[str]) -> list[str]:
    """Streams whose record is not there any more."""
    ids = [ObjectId(stream) for stream in stream_ids if ObjectId.is_valid(stream)]
    present = {str(change.id) for change in read(collection, ids) if change.record}
    return [stream for stream in dict.fromkeys(stream_ids) if stream not in present]
