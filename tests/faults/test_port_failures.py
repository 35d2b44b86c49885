"""Whatever the driver raises, a port raises one of our errors, and goes on as before afterwards.

The matrix follows from the signatures of the ports: every method of every port, every class of
error that the driver of a store may raise, in every call of the driver that the method makes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from domain.errors import StoreRefused, TicketbookError
from infrastructure.stores import Stores
from projections.audit.projection import AUDIT
from projections.tickets.projection import TICKETS
from tests.support.databases import DatabasePool
from tests.support.driver_failures import MONGODB, SQLITE, WATCHING, Failure, write_errors
from tests.support.failing_store import METHODS, FailingStore, failing
from tests.support.port_calls import CALLS, WITHOUT_DRIVER, commit_one
from tests.support.rebuilds import House, followed
from tests.support.view_rows import open_store, ticket

EVERY_METHOD = pytest.mark.parametrize("method", METHODS)

GOES_ON = ("watcher.changes",)
"""Methods that go on without the driver."""


class Failing:
    """A store with a past that is open, and how to make it fail."""

    def __init__(self, name: str, stores: Stores, store: FailingStore) -> None:
        self.name, self.stores, self._store = name, stores, store
        self._errors: list[BaseException] = []
        """Held, as somebody may hold them: they must not hold anything of the store."""

    def failures(self, method: str) -> Sequence[Failure]:
        """Of the driver that the method calls."""
        if self.name == "mongodb":
            return MONGODB
        return WATCHING if method == "watcher.changes" else SQLITE

    def calls(self, method: str) -> int:
        """How often a method calls the driver."""
        return self._once(method, None, None)[0]

    def fault(self, method: str, failure: Failure, at: int | None = None) -> str | None:
        """What is wrong with a method whose driver fails: nothing, or a sentence."""
        calls, error = self._once(method, failure, at)
        if error is None:
            if at is None and calls and method not in GOES_ON:
                return f"{failure} in {method} was passed over"
        elif not isinstance(error, TicketbookError):
            return f"{failure} in {method}, call {at or 'any'}: {type(error).__name__}: {error}"
        return self._stale(f"after {failure} in {method}, call {at or 'any'}")

    def _once(
        self, method: str, failure: Failure | None, at: int | None
    ) -> tuple[int, BaseException | None]:
        case, error = CALLS[method], None
        prepared = case.before(self.stores)
        with self._store.failure(method, failure, at) as armed:
            try:
                case.call(self.stores, prepared)
            except Exception as raised:
                error = raised
                self._errors.append(raised)
        self._store.a_minute_passes()
        return armed.hits if failure else armed.calls, error

    def _stale(self, when: str) -> str | None:
        """Whether something that was given back shows old content, or cannot be used."""
        try:
            position = commit_one(self.stores)
            seen = {self.stores.log.head() for _ in range(4)}
        except Exception as error:
            return f"{when} nothing works: {type(error).__name__}: {error}"
        return None if seen == {position} else f"{when} reads see {seen}, not {position}"


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def store_with_past(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Failing]:
    if request.param == "sqlite":
        path: Path = tmp_path_factory.mktemp("failing") / "ticketbook.db"
        yield from _failing(request.param, f"sqlite:///{path}")
        return
    databases: DatabasePool = request.getfixturevalue("databases")
    with databases.empty() as database:
        yield from _failing(request.param, databases.url(database))


def _failing(name: str, store_url: str) -> Iterator[Failing]:
    with failing(store_url) as store, open_store(store.url) as opened:
        house = House(opened)
        house.fill()
        for projection in (TICKETS, AUDIT):
            followed(house.live(projection), 1)
        yield Failing(name, opened.stores, store)
        house.writer.close()


def test_every_method_of_every_port_has_a_call() -> None:
    assert sorted(CALLS) == sorted(METHODS)


@EVERY_METHOD
def test_a_failure_of_the_driver_is_one_of_ours_and_leaves_nothing_behind(
    store_with_past: Failing, method: str
) -> None:
    silent = method in WITHOUT_DRIVER[store_with_past.name]
    assert silent == (store_with_past.calls(method) == 0)
    daily = [failure for failure in store_with_past.failures(method) if failure.daily]
    faults = [store_with_past.fault(method, failure) for failure in daily]
    assert not any(faults), "\n".join(filter(None, faults))


def test_rows_refused_for_a_full_disk_are_no_rows_that_were_there_already(
    mongodb_url: str,
) -> None:
    """A builder that took one for the other would go on without them."""
    rows = [(row.id, row) for row in (ticket(1), ticket(2))]
    with failing(mongodb_url) as store, open_store(store.url) as opened:
        view = opened.stores.tickets.view(opened.stores.tickets.begin(5, 1).version)
        with (
            store.failure("tickets.load", write_errors(11000, 14031), at=1),
            pytest.raises(StoreRefused, match="disk is full"),
        ):
            view.load(0, 5, rows, [])
        assert view.loaded() == {}


@pytest.mark.exhaustive
@EVERY_METHOD
def test_a_failure_in_any_single_call_of_the_driver(store_with_past: Failing, method: str) -> None:
    calls = store_with_past.calls(method)
    faults = [
        store_with_past.fault(method, failure, at)
        for failure in store_with_past.failures(method)
        for at in range(1, calls + 1)
    ]
    assert not any(faults), "\n".join(filter(None, faults))
