"""Looking through tickets for what no index answers, on every store: exact, and bounded."""

from collections.abc import Iterator, Sequence
from itertools import product
from sqlite3 import Connection
from typing import Any, Final

import pytest

from domain.ticket.state import Ticket
from infrastructure.configuration.addresses import SQLiteStore, parse_store
from infrastructure.mongodb import ticket_search as on_mongodb
from infrastructure.sqlite import ticket_search as on_sqlite
from infrastructure.sqlite.connection import connect
from projections.tickets.search import TicketFilter, TicketSearch
from tests.support.view_rows import ACME, GLOBEX, Opened, id_, open_store, step, ticket

NAMES: Final = ("Night shift", "NIGHT crew", "Straße 4", "Öl und Wolle", "50% [a-z]*")
SYSTEMS: Final = ("workforce_2", "donear_3")


@pytest.fixture
def stores(store_url: str) -> Iterator[Opened]:
    with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def tickets(stores: Opened) -> list[Ticket]:
    """Two hundred tickets of two organisations, every seventh of them retired."""
    made = [
        ticket(
            number,
            org_id=(ACME, GLOBEX)[number % 3 == 0],
            name=NAMES[number % len(NAMES)],
            system=SYSTEMS[number % 2],
            features=("get_all",) if number % 4 else ("get_all", "get_one"),
            retired=number % 7 == 0,
        )
        for number in range(1, 201)
    ]
    stores.tickets.apply(step(0, 200, *made), 0)
    return made


def matching(tickets: Sequence[Ticket], search: TicketSearch) -> list[Ticket]:
    where, part = search.where, search.name_contains or ""
    return [
        one
        for one in tickets
        if one.retired == search.retired
        and part.casefold() in one.name.casefold()
        and where.org_id in (None, one.org_id)
        and where.system in (None, one.system)
        and where.name in (None, one.name)
        and (where.feature is None or where.feature in one.features)
    ]


def everything(stores: Opened, search: TicketSearch, limit: int) -> tuple[list[Ticket], int]:
    """The tickets of all pages, and the number of pages."""
    tickets: list[Ticket] = []
    beyond, pages = None, 0
    while pages == 0 or beyond:
        page = stores.tickets.search(search, beyond, limit)
        assert len(page.tickets) <= limit
        tickets += page.tickets
        beyond, pages = page.beyond, pages + 1
    return tickets, pages


PARTS: Final = (None, "night", "STRASSE", "öl", "% [A-", "nowhere", " ")


def test_every_combination_of_conditions_finds_just_its_tickets(
    stores: Opened, tickets: list[Ticket]
) -> None:
    for org, retired, part in product((ACME, None), (False, True), PARTS):
        for system, feature in ((None, None), (SYSTEMS[0], None), (None, "get_one")):
            where = TicketFilter(org, system, None, feature)
            search = TicketSearch(where, retired, part)
            expected = matching(tickets, search)
            assert everything(stores, search, 500) == (expected, 1), search
    named = TicketSearch(TicketFilter(ACME, name=NAMES[0]), True, "SHIFT")
    assert everything(stores, named, 500)[0] == matching(tickets, named) != []


def test_pages_follow_each_other_and_none_examines_more_than_it_may(
    stores: Opened, tickets: list[Ticket], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (on_sqlite, on_mongodb):
        monkeypatch.setattr(module, "SCAN", 10)
    for org, retired, part in product((ACME, None), (False, True), (None, "night", "nowhere")):
        search = TicketSearch(TicketFilter(org), retired, part)
        examined = [
            one for one in tickets if org is None or (one.org_id == org and one.retired == retired)
        ]
        found, pages = everything(stores, search, 500)
        assert found == matching(tickets, search)
        assert pages in (len(examined) // 10, len(examined) // 10 + 1), search
        assert everything(stores, search, 3)[0] == found


def test_a_retired_ticket_that_is_restored_is_in_use_again(stores: Opened) -> None:
    search = TicketSearch(TicketFilter(ACME), retired=True)
    gone = ticket(1, retired=True, version=2, position=2)
    stores.tickets.apply(step(0, 1, ticket(1)), 0)
    assert stores.tickets.search(search, None, 9).tickets == []
    stores.tickets.apply(step(1, 2, gone), 0)
    assert stores.tickets.search(search, None, 9).tickets == [gone]
    stores.tickets.apply(step(2, 3, ticket(1, version=3, position=3)), 0)
    assert stores.tickets.search(search, None, 9).tickets == []


class Planned:
    """A connection that keeps how SQLite plans each query."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.plans: list[str] = []

    def execute(self, query: str, values: Sequence[Any]) -> Any:
        plan = self._connection.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()
        self.plans.append(" / ".join(row[3] for row in plan))
        return self._connection.execute(query, values)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("retired", [False, True])
@pytest.mark.parametrize("org", [ACME, None])
def test_sqlite_walks_along_one_index_and_sorts_nothing(
    store_url: str, stores: Opened, tickets: list[Ticket], retired: bool, org: str | None
) -> None:
    store = parse_store("TICKETBOOK_STORE", store_url)
    assert isinstance(store, SQLiteStore)
    planned = Planned(connect(store.path))
    where = TicketFilter(org, SYSTEMS[0], NAMES[0], "get_all")
    search = TicketSearch(where, retired, "night")
    on_sqlite.rows_of(planned, "tickets_1", "t.id", search, id_(3), 10)  # type: ignore[arg-type]
    index = "PRIMARY KEY" if org is None else "tickets_1_retired" if retired else "tickets_1_org "
    assert all(index in plan and "TEMP B-TREE" not in plan for plan in planned.plans)
