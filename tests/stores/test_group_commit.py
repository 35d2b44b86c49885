"""What group commit promises to those who wait."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event

import pytest

from domain.errors import StoreUnavailable
from infrastructure.log.group_commit import GroupCommit


@contextmanager
def held(
    batches: list[list[int]], release: Event, failure: Exception
) -> Iterator[GroupCommit[int, int]]:
    """A group whose first batch waits for `release` and then fails."""

    def settle(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        if len(batches) == 1:
            release.wait(60)
            raise failure
        return items

    group = GroupCommit[int, int](settle, "group")
    try:
        yield group
    finally:
        release.set()
        group.close()


def test_when_the_store_is_away_everybody_who_waits_hears_of_it_at_once() -> None:
    batches, release, results = list[list[int]](), Event(), SimpleQueue[object]()
    with held(batches, release, StoreUnavailable("away")) as group:
        for item in range(2_000):
            group.hand_in(item, results.put)
        release.set()
        assert all(isinstance(results.get(timeout=60), StoreUnavailable) for _ in range(2_000))
        assert len(batches) == 1
        assert group.submit(7).result(timeout=60) == 7


def test_any_other_failure_concerns_its_own_batch_alone() -> None:
    batches, release = list[list[int]](), Event()
    with held(batches, release, ZeroDivisionError()) as group:
        first = group.submit(1)
        while not batches:
            pass
        second = group.submit(2)
        release.set()
        with pytest.raises(ZeroDivisionError):
            first.result(timeout=60)
        assert second.result(timeout=60) == 2


def test_closing_while_the_store_is_away_does_not_wait_for_what_was_turned_away() -> None:
    batches, release, results = list[list[int]](), Event(), SimpleQueue[object]()
    with held(batches, release, StoreUnavailable("away")) as group:
        for item in range(1_500):
            group.hand_in(item, results.put)
    assert len(batches) == 1
    assert all(isinstance(results.get(timeout=60), StoreUnavailable) for _ in range(1_500))
