"""Any question to the audit log is answered truly, at a cost that does not grow with the log."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from pymongo.database import Database

from infrastructure.mongodb import audit_search as mongodb_search
from infrastructure.mongodb.client import Document
from infrastructure.sqlite import audit_search as sqlite_search
from infrastructure.sqlite.audit import SQLiteAudit
from infrastructure.sqlite.database import SQLiteDatabase
from projections.audit.projection import AuditEntry
from projections.audit.search import AuditFilter, AuditReader
from tests.support.audit_questions import fill, matching, question
from tests.support.histories import FEATURES, SYSTEMS, Histories, entries_of
from tests.support.server import Served, refused, seen
from tests.support.view_rows import Opened, mongodb_audit, open_store


@pytest.fixture
def stores(store_url: str) -> Iterator[Opened]:
    with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that look at no more than a hundred entries: a short log is a long one to them."""
    monkeypatch.setattr(sqlite_search, "SCAN", 100)
    monkeypatch.setattr(mongodb_search, "SCAN", 100)


def read_through(
    reader: AuditReader, where: AuditFilter, random: Random, *, newest_first: bool
) -> list[AuditEntry]:
    """Page after page, each as long as it comes."""
    limit = random.choice((1, 3, 50, 1_000))
    found: list[AuditEntry] = []
    beyond: int | None = None
    while True:
        page = reader.page(where, beyond=beyond, limit=limit, newest_first=newest_first)
        assert len(page.entries) <= limit
        found += page.entries
        if page.beyond is None:
            return found
        assert beyond is None or (page.beyond < beyond) is newest_first
        beyond = page.beyond
        limit = max(limit, 1_000)


def ask(reader: AuditReader, rows: Sequence[AuditEntry], questions: int) -> None:
    random = Random(5)
    answered = 0
    for _ in range(questions):
        where, newest_first = question(random, rows), random.random() < 0.5
        expected = matching(where, rows)
        found = read_through(reader, where, random, newest_first=newest_first)
        assert found == expected[:: -1 if newest_first else 1], where
        answered += bool(expected)
    assert questions / 3 < answered < questions


@pytest.mark.parametrize(
    ("events", "questions"), [(600, 120), pytest.param(5_000, 300, marks=pytest.mark.exhaustive)]
)
def test_random_questions_are_answered_as_by_looking_at_every_entry(
    stores: Opened, narrow: None, events: int, questions: int
) -> None:
    rows = list(entries_of(Histories(1).events(events)))
    fill(stores.audit, rows)

    ask(stores.audit, rows, questions)


@pytest.mark.exhaustive
def test_a_thousand_random_questions_about_a_hundred_thousand_events(stores: Opened) -> None:
    rows = list(entries_of(Histories(2, alive=4_000).events(100_000)))
    fill(stores.audit, rows)

    ask(stores.audit, rows, questions=1_000)


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_page_that_has_looked_long_enough_ends_and_says_where_to_go_on(
    stores: Opened, narrow: None, newest_first: bool
) -> None:
    rows = list(entries_of(Histories(1).events(1_000)))
    fill(stores.audit, rows)
    where = AuditFilter(org_id=None, text="said by nobody")

    beyond: int | None = None
    for turn in range(1, 11):
        page = stores.audit.page(where, beyond=beyond, limit=50, newest_first=newest_first)
        assert page.entries == []
        beyond = page.beyond
        assert beyond == (1_000 - 100 * turn + 1 if newest_first else 100 * turn)
    last = stores.audit.page(where, beyond=beyond, limit=50, newest_first=newest_first)
    assert (last.entries, last.beyond) == ([], None)


# --- what a page costs ---

COSTLY: Final[dict[str, Any]] = {
    "org_id": "000000000000000000000001",
    "actor": "actor-1",
    "action": "ticket.renamed",
    "system": SYSTEMS[0],
    "feature": FEATURES[0],
    "granted": FEATURES[1],
    "revoked": FEATURES[2],
    "text": "nowhere",
    "correlation_id": "request-1",
    "ticket_id": "000000009e3779b97f4a7c15",
}
QUESTIONS: Final = [
    replace(AuditFilter(org_id=None), **{name: COSTLY[name] for name in names})
    for many in (0, 1, 2, 3)
    for names in combinations(COSTLY, many)
]
SIZES = pytest.mark.parametrize(
    ("short", "long"),
    [(1_000, 4_000), pytest.param(4_000, 16_000, marks=pytest.mark.exhaustive)],
)


@SIZES
@pytest.mark.parametrize("newest_first", [False, True])
def test_on_a_file_a_page_takes_no_more_steps_when_the_log_grows(
    tmp_path: Path, narrow: None, newest_first: bool, short: int, long: int
) -> None:
    rows = list(entries_of(Histories(3, alive=long // 8).events(long)))
    steps: dict[int, list[int]] = {short: [], long: []}
    for size, counted in steps.items():
        with closing(SQLiteDatabase(tmp_path / f"{size}.db")) as database:
            view = SQLiteAudit(database, 1)
            view.create(indexed=True)
            fill(view, rows[:size])
            for where in QUESTIONS:
                ticks: list[None] = []
                with database.reading() as connection:  # the one that the search will use
                    connection.set_progress_handler(partial(ticks.append, None), 10)
                view.page(where, beyond=None, limit=10, newest_first=newest_first)
                with database.reading() as connection:
                    connection.set_progress_handler(None, 0)
                counted.append(10 * len(ticks))

    for where, before, after in zip(QUESTIONS, steps[short], steps[long], strict=True):
        assert 0 < after < max(2 * before, 6_000), where
    assert max(steps[long]) < 20_000


@SIZES
@pytest.mark.parametrize("newest_first", [False, True])
def test_on_mongodb_a_page_looks_at_no_more_when_the_log_grows(
    fresh_mongodb_database: Database[Document],
    narrow: None,
    newest_first: bool,
    short: int,
    long: int,
) -> None:
    view = mongodb_audit(fresh_mongodb_database)
    fill(view, list(entries_of(Histories(3, alive=long // 8).events(long))))

    fresh_mongodb_database.command("profile", 2)
    for where in QUESTIONS:
        view.page(where, beyond=None, limit=10, newest_first=newest_first)
    fresh_mongodb_database.command("profile", 0)
    looked = [
        (entry["keysExamined"], entry["docsExamined"], entry.get("hasSortStage", False))
        for entry in fresh_mongodb_database["system.profile"].find({"op": "query"})
        if "audit" in entry["ns"]
    ]

    assert len(looked) >= 2 * len(QUESTIONS)
    for keys, documents, sorted_ in looked:
        assert keys <= 102
        assert documents <= 102
        assert not sorted_


# --- over HTTP ---


def test_filters_name_granted_and_revoked_words_and_positions(served: Served) -> None:
    ada = served.client()
    ticket = ada.created(features=["get_all"], reason="For the Night Shift")
    headers = {"If-Match": '"1"'}
    body = {"features": ["create_shift"], "reason": "Straße gesperrt"}
    changed = ada.patch(f"/v1/tickets/{ticket['_id']}", json=body, headers=headers)
    second = int(changed.headers["Event-Position"])
    first = second - 1

    def found(**asked: Any) -> list[int]:
        answer = ada.get("/v1/audit", params=asked, headers=seen(changed))
        assert answer.status_code == 200, answer.text
        return [item["position"] for item in answer.json()["items"]]

    assert found(feature="get_all") == [second, first]
    assert found(granted="get_all") == [first]
    assert found(revoked="get_all") == [second]
    assert found(granted="create_shift", revoked="get_all") == [second]
    assert found(text="night SHIFT") == [first]
    assert found(text="STRASSE") == [second]
    assert found(text="nothing") == []
    assert found(sincePosition=second) == [second]
    assert found(beforePosition=second, order="oldest") == [first]
    assert found(org=ada.org) == [second, first]


def test_only_platform_staff_choose_an_organisation(served: Served) -> None:
    ada, staff = served.client(), served.client("*")
    ada.created()

    items = staff.get("/v1/audit", params={"org": ada.org}).json()["items"]
    assert [item["orgId"] for item in items] == [ada.org]
    answer = ada.get("/v1/audit", params={"org": served.client().org})
    refused(answer, 403, "platform-staff-only")
