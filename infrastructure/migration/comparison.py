"""Bringing the tickets in line with all the records there are, whatever was taken over before."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final

from bson import ObjectId

from domain.log.ports import EventLog
from domain.ticket.events import Recorded
from infrastructure.migration.bson import id_of
from infrastructure.migration.changes import SourceChange, read
from infrastructure.migration.chunks import chunks
from infrastructure.migration.intake import Intake, Taken
from infrastructure.migration.records import stream_id
from infrastructure.migration.restoring import Records

_SOME: Final = 1_000

Tell = Callable[[int, Taken], None]
"""Told how many records were compared by now, and what became of them."""


def compare(
    records: Iterable[bytes],
    standing: Records,
    intake: Intake,
    log: EventLog,
    came: Iterable[Recorded],
    tell: Tell,
) -> Taken:
    """Take over `records`, which are all that there are in `standing`, and note which are gone of
    those that `came` before."""
    read_at = log.head()
    compared, taken, odd = 0, Taken(), set[str]()
    for some in chunks(records, _SOME):
        changes = [SourceChange(id_of(record), record) for record in some]
        odd.update(stream_id(c.id) for c in changes if not isinstance(c.id, ObjectId))
        taken += intake.take(changes, read_at)
        compared += len(some)
        tell(compared, taken)
    for removed in remove_gone(standing, intake, log, came, odd):
        taken += removed
        tell(compared, taken)
    return taken


def remove_gone(
    standing: Records,
    intake: Intake,
    log: EventLog,
    came: Iterable[Recorded],
    odd: Collection[str],
) -> Iterator[Taken]:
    """Note, bit by bit, which records are not in `standing` any more, of those that `came` by these
    events; `odd` are the streams of records that are there and whose `_id` is no ObjectId."""
    for stream_ids in chunks((one.ticket_id for one in came), _SOME):
        read_at = log.head()
        gone = _gone(standing, [one for one in stream_ids if one not in odd])
        yield intake.remove(gone, read_at)


def _gone(standing: Records, stream_ids: Sequence[str]) -> list[str]:
    """Those whose record is not there any more."""
    ids = [ObjectId(one) for one in stream_ids if ObjectId.is_valid(one)]
    there = {str(change.id) for change in read(standing, ids) if change.record}
    return [one for one in dict.fromkeys(stream_ids) if one not in there]
