"""Bringing the tickets in line with all the records there are, whatever was taken over before."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

from bson import ObjectId
from bson.raw_bson import RawBSONDocument

from domain.ports import EventLog
from infrastructure.legacy.changes import Change, read
from infrastructure.legacy.intake import Intake, Taken
from infrastructure.legacy.ledger import every_event, took_over
from infrastructure.legacy.records import stream_id
from infrastructure.legacy.restoring import Records

_SOME: Final = 1_000

Item = TypeVar("Item")
Tell = Callable[[int, Taken], None]
"""Told how many records were compared by now, and what became of them."""


def compare(
    records: Iterable[bytes], standing: Records, intake: Intake, log: EventLog, tell: Tell
) -> Taken:
    """Take over `records`, which are all that there are in `standing`, and note which are gone of
    those that were taken over from there before."""
    read_at = log.head()
    compared, taken, odd = 0, Taken(), set[str]()
    for some in _chunks(records):
        changes = [Change(RawBSONDocument(record)["_id"], record) for record in some]
        odd.update(stream_id(c.id) for c in changes if not isinstance(c.id, ObjectId))
        taken += intake.take(changes, read_at)
        compared += len(some)
        tell(compared, taken)
    ever = (one.ticket_id for one in every_event(log) if took_over(one, intake.collection))
    for stream_ids in _chunks(ever):
        read_at = log.head()
        gone = _gone(standing, [one for one in stream_ids if one not in odd])
        taken += intake.remove(gone, read_at)
        tell(compared, taken)
    return taken


def _gone(standing: Records, stream_ids: Sequence[str]) -> list[str]:
    """Those whose record is not there any more."""
    ids = [ObjectId(one) for one in stream_ids if ObjectId.is_valid(one)]
    there = {str(change.id) for change in read(standing, ids) if change.record}
    return [one for one in dict.fromkeys(stream_ids) if one not in there]


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    source = iter(items)
    while some := list(islice(source, _SOME)):
        yield some
