"""What the readers of the views promise, on every store."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import product
from random import Random
from typing import Any

import pytest

from domain.ticket.state import Ticket
from projections.audit.projection import AuditEntry
from projections.audit.search import AuditFilter
from projections.tickets.search import TicketFilter
from tests.support.view_rows import (
    ACME,
    GLOBEX,
    START,
    Opened,
    entries,
    entry,
    id_,
    open_store,
    step,
    ticket,
)

ORGS = (None, ACME, GLOBEX)
SYSTEMS = ("workforce_2", "donear_3")
FEATURES = ("get_all", "get_one", "get_area", "create_worker")


@pytest.fixture
def stores(store_url: str) -> Iterator[Opened]:
    with open_store(store_url) as opened:
        yield opened


def many_tickets() -> list[Ticket]:
    random = Random(7)
    return [
        ticket(
            number,
            org_id=random.choice((ACME, GLOBEX)),
            system=random.choice(SYSTEMS),
            name=random.choice(("Foreman", "Viewer")),
            features=tuple(random.sample(FEATURES, random.randrange(4))),
            retired=random.random() < 0.2,
        )
        for number in range(1, 201)
    ]


def matching(tickets: Sequence[Ticket], where: TicketFilter) -> list[Ticket]:
    return [
        t
        for t in tickets
        if not t.retired
        and where.org_id in (None, t.org_id)
        and where.system in (None, t.system)
        and where.name in (None, t.name)
        and (where.feature is None or where.feature in t.features)
    ]


def test_a_ticket_is_found_by_its_id_retired_or_not(stores: Opened) -> None:
    stores.tickets.apply(step(0, 2, ticket(1), ticket(2, retired=True)), 0)

    assert stores.tickets.get(id_(1)) == ticket(1)
    assert stores.tickets.get(id_(2)) == ticket(2, retired=True)
    assert stores.tickets.get(id_(3)) is None


def test_the_latest_rows_of_a_thousand_tickets_come_at_once(stores: Opened) -> None:
    many = [ticket(number, retired=number % 5 == 0) for number in range(1, 1_001)]
    stores.tickets.apply(step(0, 1_000, *many), 0)

    assert stores.tickets.latest([]) == {}
    assert stores.tickets.latest([id_(n) for n in range(501, 1_501)]) == {
        row.id: row for row in many[500:]
    }


def test_every_combination_of_filters_finds_just_the_tickets_in_use(stores: Opened) -> None:
    tickets = many_tickets()
    stores.tickets.apply(step(0, 200, *tickets), 0)

    for filters in product(ORGS, (None, *SYSTEMS), (None, "Viewer"), (None, *FEATURES)):
        where = TicketFilter(*filters)
        assert stores.tickets.find(where, None, 1_000) == matching(tickets, where), where


def test_pages_of_tickets_follow_each_other_without_gap_or_repeat(stores: Opened) -> None:
    tickets = many_tickets()
    stores.tickets.apply(step(0, 200, *tickets), 0)

    for where in (TicketFilter(ACME), TicketFilter(None, feature="get_all"), TicketFilter(None)):
        found: list[Ticket] = []
        while page := stores.tickets.find(where, found[-1].id if found else None, 7):
            found += page
        assert found == matching(tickets, where)


def test_a_feature_taken_away_is_not_found_any_more(stores: Opened) -> None:
    changed = ticket(1, features=("get_area", "get_all"), version=2, position=2)
    retired = ticket(1, features=("get_area", "get_all"), version=3, position=3, retired=True)
    restored = ticket(1, features=("get_area", "get_all"), version=4, position=4)

    def holders(feature: str) -> list[Ticket]:
        return list(stores.tickets.find(TicketFilter(ACME, feature=feature), None, 10))

    stores.tickets.apply(step(0, 1, ticket(1)), 0)
    assert holders("create_worker") == [ticket(1)]
    stores.tickets.apply(step(1, 2, changed), 0)
    assert (holders("create_worker"), holders("get_area")) == ([], [changed])
    stores.tickets.apply(step(2, 3, retired), 0)
    assert holders("get_area") == []
    stores.tickets.apply(step(3, 4, restored), 0)
    assert holders("get_area") == [restored]


def many_entries() -> list[AuditEntry]:
    random = Random(11)
    return [
        entry(
            position,
            ticket_id=id_(random.randrange(20)),
            version=position,
            org_id=random.choice(ORGS),
            system=random.choice(SYSTEMS),
            action=random.choice(("ticket.renamed", "ticket.features_changed")),
            actor=random.choice(("ada", "grace")),
            correlation_id=f"request-{random.randrange(50)}",
            # several events may be recorded in the same millisecond
            recorded_at=START + timedelta(milliseconds=position // 3),
            granted=tuple(random.sample(FEATURES[:2], random.randrange(3))),
            revoked=tuple(random.sample(FEATURES[2:], random.randrange(3))),
        )
        for position in range(1, 301)
    ]


def held(rows: Sequence[AuditEntry], where: AuditFilter) -> list[AuditEntry]:
    def asked(wanted: Any, value: Any) -> bool:
        return wanted is None or wanted == value

    return [
        row
        for row in rows
        if asked(where.org_id, row.org_id)
        and asked(where.system, row.system)
        and asked(where.ticket_id, row.ticket_id)
        and asked(where.actor, row.actor)
        and asked(where.action, row.action)
        and asked(where.correlation_id, row.correlation_id)
        and (where.feature is None or where.feature in row.granted + row.revoked)
        and (where.since is None or row.recorded_at >= where.since)
        and (where.before is None or row.recorded_at < where.before)
    ]


@pytest.mark.parametrize("newest_first", [False, True])
def test_every_combination_of_filters_finds_just_the_entries_asked_for(
    stores: Opened, newest_first: bool
) -> None:
    rows = many_entries()
    # what an organisation did not have, it did not gain or lose
    rows = [row for row in rows if row.org_id or not row.granted + row.revoked]
    stores.audit.apply(entries(0, rows), 0)
    middle = START + timedelta(milliseconds=50)
    choices: dict[str, tuple[Any, ...]] = {
        "org_id": ORGS,
        "system": (None, "donear_3"),
        "ticket_id": (None, id_(3)),
        "actor": (None, "ada"),
        "action": (None, "ticket.renamed"),
        "feature": (None, "get_all", "get_area"),
        "correlation_id": (None, "request-5"),
        "since": (None, middle),
    }
    for values in product(*choices.values()):
        where = AuditFilter(**dict(zip(choices, values, strict=True)))
        found = stores.audit.search(where, beyond=None, limit=1_000, newest_first=newest_first)
        assert found == held(rows, where)[:: -1 if newest_first else 1], where


@pytest.mark.parametrize(
    ("since", "before"), [(None, 50), (50, 51), (20, 80), (-5, 1_000), (101, None), (80, 20)]
)
def test_a_range_of_times_takes_its_start_and_leaves_its_end(
    stores: Opened, since: int | None, before: int | None
) -> None:
    rows = many_entries()
    stores.audit.apply(entries(0, [row for row in rows if row.org_id]), 0)
    where = AuditFilter(
        org_id=ACME,
        since=None if since is None else START + timedelta(milliseconds=since),
        before=None if before is None else START + timedelta(milliseconds=before),
    )

    found = stores.audit.search(where, beyond=None, limit=1_000, newest_first=False)

    assert found == held(rows, where)


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_of_entries_follow_each_other_without_gap_or_repeat(
    stores: Opened, newest_first: bool
) -> None:
    rows = [row for row in many_entries() if row.org_id]
    stores.audit.apply(entries(0, rows), 0)

    for where in (
        AuditFilter(org_id=ACME, since=START + timedelta(milliseconds=9)),
        AuditFilter(org_id=None, feature="get_one", before=START + timedelta(milliseconds=70)),
    ):
        found: list[AuditEntry] = []
        while page := stores.audit.search(
            where,
            beyond=found[-1].position if found else None,
            limit=7,
            newest_first=newest_first,
        ):
            found += page
        assert found == held(rows, where)[:: -1 if newest_first else 1]


def test_the_latest_entry_of_each_of_a_thousand_tickets_comes_at_once(stores: Opened) -> None:
    rows = [entry(n, ticket_id=id_(n % 1_200), version=1 + n // 1_200) for n in range(1, 2_401)]
    stores.audit.apply(entries(0, rows), 0)
    last = {row.ticket_id: row for row in rows}

    assert stores.audit.latest([]) == {}
    assert stores.audit.latest([id_(n) for n in range(700, 1_700)]) == {
        id_(n): last[id_(n)] for n in range(700, 1_200)
    }
