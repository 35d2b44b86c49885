"""Comparing a version of a view with the log, row by row, while both may move on."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal

from domain.log.ports import Partition
from projections.running.applier import BATCH
from projections.running.projection import Key, Projected, Row
from projections.versions.expected import (
    At,
    expected_hashes,
    expected_rows,
    tickets_at,
    unheard,
)

_PARTITION_EVENTS: Final = 1_000_000
"""Most events of a partition: the hashes of its rows are in memory together."""

_JUDGED: Final = 500
"""Keys that are judged together, at one checkpoint."""

Kind = Literal["missing", "extra", "changed", "unreadable"]

UNREADABLE: Final = (
    "What is unreadable stays as it is: an event of its ticket fails here. Mend the cause or "
    "upgrade ticketbook, and verify again; or rebuild, and skip the event at which it parks then."
)
"""Advice to operators about mismatches of the kind `unreadable`."""


@dataclass(frozen=True, slots=True)
class ViewMismatch:
    """One key whose row is not what the log says. `ticket_id` is None where the log has nothing.

    A row of kind `unreadable` cannot be compared, and may be right: an event of its ticket fails
    in this program, and the view neither parks nor skips it. `why` says which event.
    """

    kind: Kind
    key: Key
    ticket_id: str | None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class ViewReport:
    """The result of a verification, at checkpoint `position`, of a view with so many `rows`. The
    tickets in `parked` were compared up to the event at which they wait."""

    position: int
    rows: int
    parked: Sequence[str]
    mismatches: Sequence[ViewMismatch]


def unreadable(report: ViewReport) -> int:
    """The number of rows that could not be compared."""
    return sum(mismatch.kind == "unreadable" for mismatch in report.mismatches)


def verify(projected: Projected[Row], at: At = unheard) -> ViewReport:
    """Compare every row with a fold of the log up to the checkpoint.

    The view may move on meanwhile: a row that seems wrong is compared again, at one checkpoint,
    before it counts as a mismatch. Memory is bounded: a long log is compared one partition at a
    time.
    """
    view = projected.view
    position = view.checkpoint()
    partitions = position // _PARTITION_EVENTS + 1
    rows, rows_read, suspects = 0, 0, set[Key]()
    for number in range(partitions):
        partition = Partition(number, partitions)
        expected = expected_hashes(projected, partition, position, at)
        for key, row in view.rows():
            rows += not number
            ours = partitions == 1 or row is None or partition.holds(_owner(key, row))
            # not by a default: the hash of a row that has none is None, too
            if ours and (key not in expected or expected.pop(key) != _hash(row)):
                suspects.add(key)
            rows_read += 1
            if rows_read % BATCH == 0:
                at(partition.number * position // partitions)
        suspects.update(expected)
    mismatches = judge(projected, suspects)
    mismatches += _misfiled(projected, {mismatch.key for mismatch in mismatches})
    return ViewReport(position, rows, sorted(view.parked()), mismatches)


def compare(live: Projected[Row], new: Projected[Row], at: At = unheard) -> list[ViewMismatch]:
    """The rows of the live version that differ from the new one and from the log.

    Both versions are read in the order of their keys. The log decides about each difference, as
    both versions may move on meanwhile.
    """
    suspects: list[Key] = []
    lefts, rights = live.view.rows(), new.view.rows()
    left, right = next(lefts, None), next(rights, None)
    for number in count():
        if number % BATCH == 0:
            at(0)
        if left is None and right is None:
            break
        if left is not None and (right is None or _order(left[0]) < _order(right[0])):
            suspects.append(left[0])
            left = next(lefts, None)
        elif right is not None and (left is None or _order(right[0]) < _order(left[0])):
            suspects.append(right[0])
            right = next(rights, None)
        else:
            if left != right and left is not None:
                suspects.append(left[0])
            left, right = next(lefts, None), next(rights, None)
    return judge(live, suspects)


def _misfiled(projected: Projected[Row], known: Set[Key]) -> list[ViewMismatch]:
    """The rows that are right but that a search would miss, or find wrongly. A view changes a row
    and its search keys in one step, so there is no need to look twice."""
    keys = set(projected.view.misfiled()) - known
    stored, tickets = projected.view.stored(keys), tickets_at(projected, list(keys))
    return [
        ViewMismatch("changed" if key in stored else "extra", key, tickets[key])
        for key in sorted(keys, key=_order)
    ]


def _order(key: Key) -> tuple[bool, str, Key]:
    """Sorts foreign keys first: one of them may take the place of a missing row."""
    return isinstance(key, int | str), type(key).__name__, key


def _hash(row: Row | None) -> int | None:
    try:
        return hash(row)
    except TypeError:  # something else wrote values into it that no row of ours holds
        return None


def _owner(key: Key, row: Row) -> str:
    """The ticket that a row belongs to."""
    return str(getattr(row, "ticket_id", key))


def judge(projected: Projected[Row], suspects: Iterable[Key]) -> list[ViewMismatch]:
    """The keys among the suspects whose rows really are not what the log says. Tickets that were
    parked or released meanwhile are left out."""
    mismatches: list[ViewMismatch] = []
    keys, before = sorted(suspects, key=_order), projected.view.parked()
    for start in range(0, len(keys), _JUDGED):
        mismatches += _mismatches(projected, keys[start : start + _JUDGED])
    after = projected.view.parked()
    return [m for m in mismatches if before.get(m.ticket_id or "") == after.get(m.ticket_id or "")]


def _mismatches(projected: Projected[Row], keys: Sequence[Key]) -> Iterator[ViewMismatch]:
    """A row may be newer than the checkpoint, which is read first: it is right if the log says the
    same at some later position."""
    floor = projected.view.checkpoint()
    stored = projected.view.stored(keys)
    for key, expected in expected_rows(projected, keys, floor).items():
        kind: Kind | None = None
        if expected.broken:
            kind = "unreadable"
        elif key not in stored:
            kind = "missing" if expected.required else None
        elif not expected.allowed:
            kind = "extra"
        elif stored[key] not in expected.allowed:
            kind = "changed"
        if kind:
            yield ViewMismatch(kind, key, expected.ticket_id, expected.broken)
