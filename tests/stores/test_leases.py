"""What leases promise, on every store. Times are the database's: tests use none that could pass by
themselves, and 0 seconds for a lease that is over at once."""

from collections.abc import Iterator
from threading import Barrier, Thread

import pytest

from projections.running.projection import Leases
from tests.support.view_rows import Opened, open_store

LONG = 600.0


@pytest.fixture
def stores(store_url: str) -> Iterator[Opened]:
    with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def leases(stores: Opened) -> Leases:
    return stores.leases


def test_nobody_holds_a_lease_that_nobody_took(leases: Leases) -> None:
    assert leases.current("tickets") is None


def test_the_first_to_ask_gets_the_lease_and_the_next_does_not(leases: Leases) -> None:
    assert leases.acquire("tickets", "one", LONG) == 1
    assert leases.acquire("tickets", "two", LONG) is None

    current = leases.current("tickets")
    assert current is not None
    assert (current.holder, current.fence, current.expired) == ("one", 1, False)


def test_leases_of_different_names_are_independent(leases: Leases) -> None:
    assert leases.acquire("tickets", "one", LONG) == 1
    assert leases.acquire("audit", "two", LONG) == 1


def test_renewing_keeps_the_fence_and_lengthens_the_lease(leases: Leases) -> None:
    leases.acquire("tickets", "one", 60.0)
    before = leases.current("tickets")

    assert leases.acquire("tickets", "one", LONG) == 1
    after = leases.current("tickets")
    assert before is not None and after is not None
    assert (after.expires_at - before.expires_at).total_seconds() > 300


def test_an_expired_lease_goes_to_the_next_with_a_higher_fence(leases: Leases) -> None:
    leases.acquire("tickets", "one", 0.0)
    expired = leases.current("tickets")

    assert expired is not None and expired.expired
    assert leases.acquire("tickets", "two", LONG) == 2
    assert leases.acquire("tickets", "one", LONG) is None


def test_a_released_lease_is_free_and_its_fence_is_never_given_again(leases: Leases) -> None:
    leases.acquire("tickets", "one", LONG)
    leases.release("tickets", "one")
    released = leases.current("tickets")

    assert released is not None and released.expired and released.fence == 1
    assert leases.acquire("tickets", "one", LONG) == 2


def test_only_its_holder_releases_a_lease(leases: Leases) -> None:
    leases.acquire("tickets", "one", LONG)
    leases.release("tickets", "two")

    assert leases.acquire("tickets", "two", LONG) is None


def test_seizing_takes_the_lease_from_a_live_holder_with_a_higher_fence(leases: Leases) -> None:
    assert leases.seize("tickets", "operator", LONG) == 1
    leases.release("tickets", "operator")
    assert leases.acquire("tickets", "one", LONG) == 2

    assert leases.seize("tickets", "operator", LONG) == 3
    assert leases.acquire("tickets", "one", LONG) is None
    assert leases.acquire("tickets", "operator", LONG) == 3


def test_of_many_who_ask_at_once_exactly_one_holds_the_lease(store_url: str) -> None:
    fences: list[int | None] = []
    together = Barrier(6)

    def ask(number: int) -> None:
        with open_store(store_url) as mine:
            together.wait()
            fences.append(mine.leases.acquire("tickets", f"holder {number}", LONG))

    threads = [Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fences, key=str) == [1, None, None, None, None, None]
