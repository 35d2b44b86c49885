"""Appending stored events from many threads at once, with group commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from eventsourcing.persistence import StoredEvent

from domain.errors import HeadMoved, StoreUnavailable, VersionConflict
from infrastructure.log.group_commit import GroupCommit
from infrastructure.log.ordered_log import OrderedLog, StreamTaken


@dataclass(frozen=True, slots=True)
class _Append:
    events: Sequence[StoredEvent]

    def places(self) -> set[tuple[Any, int]]:
        return {(event.originator_id, event.originator_version) for event in self.events}


class Appender:
    """Commits appends that arrive together in one batch. An append that conflicts fails alone.

    It is for callers that have decided their events already. Ticket commands go through
    `infrastructure/log/writer.py`, which decides and appends in one step.
    """

    def __init__(self, log: OrderedLog, name: str = "appender") -> None:
        self._log = log
        self._head: int | None = None
        self._group = GroupCommit(self._settle, name)

    def append(self, events: Sequence[StoredEvent]) -> list[int]:
        """Store all the events or none; returns their positions once they are durable.

        Raises `VersionConflict` when a version exists already, or occurs twice in `events`.
        """
        if not events:
            return []
        # A queue for one answer wakes its thread for a fraction of what a `Future` costs: with
        # many writers that decides how long the last of a batch waits.
        answer: SimpleQueue[list[int] | Exception] = SimpleQueue()
        self._group.hand_in(_Append(events), answer.put)
        result = answer.get()
        if isinstance(result, Exception):
            raise result
        return result

    def close(self) -> None:
        """Finish the submitted appends, then stop."""
        self._group.close()

    def _settle(self, appends: Sequence[_Append]) -> Sequence[list[int] | Exception]:
        try:
            return self._commit(appends)
        except StoreUnavailable:
            raise
        except Exception as error:  # an event that no store can hold must not fail the others
            if len(appends) == 1:
                return [error]
            return [result for append in appends for result in self._settle([append])]

    def _commit(self, appends: Sequence[_Append]) -> Sequence[list[int] | Exception]:
        refused: set[int] = set()
        taken: set[tuple[Any, int]] = set()
        while True:
            refused = _conflicting(appends, taken)
            accepted = [a for index, a in enumerate(appends) if index not in refused]
            events = [event for append in accepted for event in append.events]
            try:
                after = self._log.head() if self._head is None else self._head
                if events:
                    self._log.commit(after, events)
                self._head = after + len(events)
                break
            except StreamTaken as error:
                taken |= error.taken
            except HeadMoved:
                self._head = None
            except Exception:
                self._head = None  # it may or may not be stored: ask the log next time
                raise
        return _positions(appends, refused, after)


def _conflicting(appends: Sequence[_Append], taken: set[tuple[Any, int]]) -> set[int]:
    """The indexes of appends with a version that exists in the log or in an append before them."""
    refused: set[int] = set()
    places = set(taken)
    for index, append in enumerate(appends):
        mine = append.places()
        if len(mine) < len(append.events) or mine & places:
            refused.add(index)
        else:
            places |= mine
    return refused


def _positions(
    appends: Sequence[_Append], refused: set[int], after: int
) -> list[list[int] | Exception]:
    results: list[list[int] | Exception] = []
    for index, append in enumerate(appends):
        if index in refused:
            results.append(VersionConflict("A version is already recorded, or given twice."))
        else:
            results.append(list(range(after + 1, after + 1 + len(append.events))))
            after += len(append.events)
    return results
