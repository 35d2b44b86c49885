"""How far something has come, and being told of it."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import permutations
from threading import Barrier, Event, Thread

import pytest

from projections.running.progress import Progress


def test_it_only_grows() -> None:
    progress = Progress(5)
    progress.advance(3)
    assert progress.position == 5
    progress.advance(8)
    assert progress.position == 8


@pytest.mark.parametrize("position", [4, 5])
def test_who_asks_for_what_is_reached_is_told_at_once(position: int) -> None:
    reached: list[int] = []
    Progress(5).when(position, lambda: reached.append(position))
    assert reached == [position]


def test_everybody_is_told_once_and_as_soon_as_their_position_is_reached() -> None:
    progress, reached = Progress(), list[str]()
    for position, name in ((3, "c"), (1, "a"), (3, "d"), (2, "b"), (9, "never")):
        progress.when(position, partial(reached.append, name))
    progress.advance(1)
    assert reached == ["a"]
    progress.advance(4)
    assert reached == ["a", "b", "c", "d"]
    progress.advance(8)
    assert reached == ["a", "b", "c", "d"]


def test_who_cancels_is_not_told_and_the_others_are() -> None:
    progress, reached = Progress(), list[int]()
    cancels = [progress.when(n, partial(reached.append, n)) for n in (4, 2, 6, 1, 3)]
    cancels[3]()
    cancels[0]()
    cancels[0]()
    progress.advance(9)
    assert reached == [2, 3, 6]
    cancels[2]()


def test_whoever_cancels_the_others_are_told_in_time() -> None:
    for *order, gone in permutations(range(1, 7)):
        progress, reached = Progress(), list[int]()
        cancels = {n: progress.when(n, partial(reached.append, n)) for n in (*order, gone)}
        cancels[gone]()
        for position in range(1, 7):
            progress.advance(position)
            assert reached == [n for n in range(1, position + 1) if n != gone]


def test_who_is_told_may_ask_again_from_within() -> None:
    progress, reached = Progress(), list[int]()

    def again() -> None:
        reached.append(progress.position)
        if progress.position < 3:
            progress.when(progress.position + 1, again)

    progress.when(1, again)
    for position in (1, 2, 3, 4):
        progress.advance(position)
    assert reached == [1, 2, 3]


def test_waiting_ends_when_the_position_is_reached() -> None:
    progress, waiting = Progress(), Event()

    def advance() -> None:
        waiting.wait()
        progress.advance(2)

    thread = Thread(target=advance)
    thread.start()
    waiting.set()
    assert progress.wait(2, timeout=30)
    thread.join()
    assert progress.wait(1, timeout=0)


def test_waiting_for_what_does_not_come_ends_with_the_timeout_and_leaves_nothing() -> None:
    progress = Progress()
    assert not progress.wait(1, timeout=0.01)
    assert progress._waiting == []


def test_of_many_threads_that_wait_and_advance_each_is_told_exactly_once() -> None:
    progress, reached, ready = Progress(), list[int](), Barrier(8)

    def work(thread: int) -> None:
        ready.wait()
        for n in range(thread, 800, 8):
            progress.when(n, partial(reached.append, n))
            progress.advance(n)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert progress.position == 799
    assert sorted(reached) == list(range(800))


def test_those_who_gave_up_are_forgotten() -> None:
    progress = Progress()
    for _ in range(1_000):
        progress.when(2**53, lambda: None)()
    stayed = progress.when(2**53, lambda: None)
    assert len(progress._waiting) == 1
    stayed()
    assert progress._waiting == []
