"""What was true then: any moment, position or version, as by folding the log up to there."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pymongo.database import Database

from api.use_cases import freshness
from api.wire.fields import iso
from domain.ticket.events import Recorded, TicketRenamed
from domain.ticket.state import Ticket, evolve
from infrastructure.log.codec import encode
from infrastructure.log.ticket_log import TicketLog
from infrastructure.mongodb import audit_as_of as mongodb_as_of
from infrastructure.mongodb.client import Document
from infrastructure.sqlite import audit_as_of as sqlite_as_of
from infrastructure.sqlite.audit import SQLiteAudit
from infrastructure.sqlite.database import SQLiteDatabase
from projections.audit.as_of import PastReader, Then
from projections.tickets.search import TicketFilter
from projections.versions.parked import parked_in
from tests.support.audit_questions import fill
from tests.support.histories import FEATURES, NAMES, SYSTEMS
from tests.support.past import Past, pages, past
from tests.support.server import Client, Served, refused, seen, serving, until
from tests.support.view_rows import START, Opened, mongodb_audit, open_store


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that look at no more than a hundred entries: a short log is a long one to them."""
    monkeypatch.setattr(sqlite_as_of, "SCAN", 100)
    monkeypatch.setattr(mongodb_as_of, "SCAN", 100)


def question(random: Random, past: Past) -> tuple[int, TicketFilter]:
    like = random.choice(past.entries)
    every: dict[str, Any] = {
        "org_id": random.choice((like.org_id, like.org_id, "f" * 24)),
        "system": random.choice(SYSTEMS),
        "name": random.choice((*NAMES, "Nobody")),
        "feature": random.choice(FEATURES),
    }
    few = random.sample(list(every), random.choice((0, 1, 1, 2, 2, 3)))
    where = replace(TicketFilter(None), **{name: every[name] for name in few})
    return random.randrange(len(past.events) + 1), where


def read_through(reader: PastReader, position: int, where: TicketFilter, limit: int) -> list[Then]:
    found: list[Then] = []
    beyond: str | None = None
    while True:
        page = reader.tickets_at(position, where, beyond=beyond, limit=limit)
        assert len(page.tickets) <= limit
        found += page.tickets
        if page.beyond is None:
            return found
        assert beyond is None or page.beyond > beyond
        beyond, limit = page.beyond, max(limit, 100)


def ask(reader: PastReader, past: Past, questions: int) -> None:
    random, answered = Random(9), 0
    for _ in range(questions):
        position, where = question(random, past)
        found = read_through(reader, position, where, random.choice((1, 7, 200)))
        expected = past.matching(position, where)
        assert [one.entry.ticket_id for one in found] == [ticket.id for ticket in expected], where
        for one, ticket in zip(found, expected, strict=True):
            assert one.entry == past.entries[ticket.position - 1]
            granted = where.feature and past.grant(position, ticket.id, where.feature)
            assert one.granted_by == (granted or None)
        answered += bool(expected)
    assert questions / 4 < answered < questions


@pytest.fixture
def stores(store_url: str) -> Iterator[Opened]:
    with open_store(store_url) as opened:
        yield opened


@pytest.mark.parametrize(
    ("events", "questions"), [(600, 80), pytest.param(3_000, 150, marks=pytest.mark.exhaustive)]
)
def test_random_questions_about_the_past_are_answered_as_by_folding_the_log(
    stores: Opened, narrow: None, events: int, questions: int
) -> None:
    log = past(1, events)
    fill(stores.audit, log.entries)

    ask(stores.audit, log, questions)


@pytest.mark.exhaustive
def test_a_thousand_random_questions_about_the_past_of_a_hundred_thousand_events(
    stores: Opened,
) -> None:
    log = past(2, 100_000, alive=4_000)
    fill(stores.audit, log.entries)

    ask(stores.audit, log, questions=1_000)


def test_a_moment_is_the_last_position_recorded_then_or_before(stores: Opened) -> None:
    log = past(3, 500)
    fill(stores.audit, log.entries)
    end = log.events[-1].recorded_at

    for number in range(200):
        moment = START + (end - START) * number / 200
        assert stores.audit.position_at(moment) == log.position_at(moment)
    assert stores.audit.position_at(START - timedelta(days=1)) == 0
    assert stores.audit.position_at(end) is None  # more may yet be recorded at this moment


# --- over HTTP ---


def record(store_url: str, events: Sequence[Recorded]) -> None:
    """Put events into the log that happened some time ago."""
    with open_store(store_url) as opened:
        log = TicketLog(opened.log)
        for start in range(0, len(events), 1_000):
            log.commit(start, events[start : start + 1_000], [])


def shown(ticket: Ticket) -> dict[str, Any]:
    return {
        "_id": ticket.id,
        "name": ticket.name,
        "orgId": ticket.org_id,
        "system": ticket.system,
        "features": list(ticket.features),
        "createdAt": iso(ticket.created_at),
        "updatedAt": iso(ticket.updated_at),
        "version": ticket.version,
        "retired": ticket.retired,
        "position": ticket.position,
    }


@pytest.mark.parametrize(
    ("events", "questions"), [(400, 8), pytest.param(1_500, 25, marks=pytest.mark.exhaustive)]
)
def test_a_day_and_a_position_of_the_past_are_answered_over_http(
    store_url: str, events: int, questions: int
) -> None:
    log = past(4, events, alive=events // 15)
    record(store_url, log.events)
    random = Random(13)
    with serving(store_url) as served:
        staff = served.client("*")
        for _ in range(questions):
            position, where = question(random, log)
            client = staff if where.org_id is None else served.client(where.org_id)
            asked = {"system": where.system, "name": where.name, "feature": where.feature}
            asked = {name: value for name, value in asked.items() if value is not None}
            found = list(pages(client, "/v1/tickets", position=position, limit=20, **asked))
            grants = [item.pop("grantedBy", None) for item in found]
            expected = log.matching(position, where)
            assert found == [shown(ticket) for ticket in expected]
            for ticket, grant in zip(expected, grants, strict=True):
                entry = log.grant(position, ticket.id, where.feature)
                assert (grant and grant["position"]) == (entry and entry.position)
                assert (grant and grant["actor"]) == (entry and entry.actor)

            moment = log.events[random.randrange(len(log.events))].recorded_at
            found = list(pages(client, "/v1/tickets", at=iso(moment), **asked))
            expected = log.matching(log.position_at(moment), where)
            assert [item["_id"] for item in found] == [ticket.id for ticket in expected]

            event = random.choice(log.events)
            path, then = f"/v1/tickets/{event.ticket_id}", log.tickets(event.position)
            answers = [
                staff.get(path, params={"position": event.position}),
                staff.get(path, params={"version": event.version}),
            ]
            for answer in answers:
                if event.ticket_id in then:
                    assert answer.json() == shown(then[event.ticket_id])
                else:
                    refused(answer, 404, "ticket-not-found")


def test_who_had_a_feature_that_day_and_who_granted_it_is_one_question(served: Served) -> None:
    ada = served.client()
    bo = served.client(ada.org, sub="bo")
    ticket = ada.created(features=["get_all"])
    path = f"/v1/tickets/{ticket['_id']}"
    body = {"features": ["get_all", "create_shift"], "reason": "night crew"}
    granted = bo.patch(path, json=body, headers={"If-Match": '"1"'})
    day = ada.history(ticket["_id"], granted)[1]["recordedAt"]
    retired = ada.delete(path, headers={"If-Match": '"2"', **seen(granted)})
    assert ada.history(ticket["_id"], retired)

    asked = {"system": "workforce_2", "feature": "create_shift", "at": day}
    answer = ada.get("/v1/tickets", params=asked)
    (item,) = answer.json()["items"]
    assert answer.headers["Event-Position"] == granted.headers["Event-Position"]
    assert (item["_id"], item["version"], item["retired"]) == (ticket["_id"], 2, False)
    assert item["grantedBy"]["actor"] == "bo"
    assert item["grantedBy"]["reason"] == "night crew"
    assert item["grantedBy"]["position"] == int(granted.headers["Event-Position"])

    now = retired.headers["Event-Position"]
    assert ada.get("/v1/tickets", params={"position": now}).json()["items"] == []
    assert ada.ticket(ticket["_id"], retired).status_code == 410
    assert ada.get(path, params={"position": now}).json()["retired"] is True
    assert ada.get(path, params={"at": day}).json()["features"] == ["get_all", "create_shift"]
    assert ada.get(path, params={"version": 1}).json()["features"] == ["get_all"]


def test_before_it_was_made_and_for_others_there_was_no_ticket(served: Served) -> None:
    ada, stranger = served.client(), served.client()
    before = served.head
    path = f"/v1/tickets/{ada.created()['_id']}"

    refused(ada.get(path, params={"position": before}), 404, "ticket-not-found")
    refused(ada.get(path, params={"at": "2020-01-01T00:00:00Z"}), 404, "ticket-not-found")
    refused(ada.get(path, params={"version": 2}), 404, "ticket-not-found")
    refused(stranger.get(path, params={"version": 1}), 404, "ticket-not-found")
    assert stranger.get("/v1/tickets", params={"position": served.head}).json()["items"] == []


def test_the_future_and_two_times_at_once_are_refused(client: Client) -> None:
    for path in ("/v1/tickets", f"/v1/tickets/{client.created()['_id']}"):
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"at": "9999-01-01T00:00:00Z"}, "/query/at"),
            ({"position": 2**50}, "/query/position"),
            ({"at": "2025-01-01T00:00:00Z", "position": 1}, "/query/position"),
        ]
        for asked, pointer in wrong:
            refused(client.get(path, params=asked), 400, "invalid-parameter", pointer)


def test_pages_of_the_past_stay_in_the_past(client: Client) -> None:
    made = sorted(client.created(name=f"Crew {number}")["_id"] for number in range(5))
    first = client.get("/v1/tickets", params={"at": iso(datetime.now(UTC)), "limit": 2})
    assert len(first.json()["items"]) == 2
    last = client.delete(f"/v1/tickets/{made[4]}", headers={"If-Match": "*"})
    assert client.history(made[4], last)

    following = [item["_id"] for item in pages(client, first.links["next"]["url"])]
    assert [item["_id"] for item in first.json()["items"]] + following == made


def test_what_the_audit_log_does_not_show_yet_is_never_left_out(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = past(8, 60)
    record(store_url, log.events)
    with open_store(store_url) as opened:
        fill(opened.audit, log.entries[:40])
        opened.audit.take_over(1_000_000)  # nobody can keep it current from here on
    monkeypatch.setattr(freshness, "WAIT_SECONDS", 0.2)
    with serving(store_url) as served:
        staff = served.client("*")
        for late in ({"position": 41}, {"at": iso(datetime.now(UTC))}):
            refused(staff.get("/v1/tickets", params=late), 503, "projection-behind")
        refused(staff.get("/v1/diff", params={"from": 1}), 503, "projection-behind")

        found = list(pages(staff, "/v1/tickets", position=40))
        assert found == [shown(ticket) for ticket in log.matching(40, TicketFilter(None))]
        for ticket_id, ticket in log.tickets(60).items():  # these come from the log itself
            answer = staff.get(f"/v1/tickets/{ticket_id}", params={"position": 60})
            assert answer.json() == shown(ticket)


def test_one_event_that_can_not_be_read_hides_no_other_ticket(store_url: str) -> None:
    log = past(9, 60, alive=6)
    every = log.matching(60, TicketFilter(None))
    assert len(every) > 1
    ticket, renamed = every[0], next(e for e in log.events if isinstance(e.event, TicketRenamed))
    ticket_id, version = ticket.id, ticket.version
    later = replace(renamed, ticket_id=ticket_id, recorded_at=log.events[-1].recorded_at)
    record(store_url, log.events)
    with open_store(store_url) as opened:
        for n, state in ((1, b"damaged"), (2, None)):
            event = replace(later, position=60 + n, version=version + n)
            stored = encode(event)
            opened.log.commit(59 + n, [replace(stored, state=state) if state else stored])
    with serving(store_url) as served:
        staff = served.client("*", scope="tickets:read audit:read projections:operate")
        one, all_ = f"/v1/tickets/{ticket_id}", [shown(ticket) for ticket in every]
        until(lambda: bool(parked_in(served.service.projections["audit"])))
        was = shown(ticket)

        assert list(pages(staff, "/v1/tickets", position=60)) == all_
        refused(staff.get("/v1/tickets", params={"position": 61}), 503, "projection-behind")
        assert staff.get(one, params={"position": 60}).json() == was
        assert staff.get(one, params={"version": version}).json() == was
        refused(staff.get(one, params={"version": version + 1}), 503, "ticket-unreadable")

        skipped = f"/v1/projections/audit/parked/{ticket_id}/skip"
        assert staff.post(skipped, json={"reason": "damaged"}).status_code == 200
        after = evolve(ticket, replace(later, position=62, version=version + 2))
        assert after is not None
        is_ = shown(after)
        assert list(pages(staff, "/v1/tickets", position=61)) == all_
        assert list(pages(staff, "/v1/tickets", position=62)) == [is_, *all_[1:]]
        assert staff.get(one, params={"position": 62}).json() == is_


def test_questions_about_the_past_are_recorded(client: Client) -> None:
    ticket = client.created()["_id"]
    client.get("/v1/tickets", params={"position": 0, "name": "Foreman"})
    client.get(f"/v1/tickets/{ticket}", params={"version": 1})
    client.get(f"/v1/tickets/{ticket}")
    client.get(f"/v1/tickets/{ticket}/history")

    entries = [
        (item["action"], item["details"]) for item in client.get("/v1/audit/reads").json()["items"]
    ]
    assert entries[1:] == [
        ("ticket.history_read", {"ticket_id": ticket}),
        ("ticket.asked_as_of", {"ticket_id": ticket, "version": "1"}),
        ("tickets.asked_as_of", {"position": "0", "name": "Foreman"}),
        ("ticket.history_read", {"ticket_id": ticket}),  # by `created`
    ]


# --- what a page costs ---

WHERE = [
    TicketFilter(org_id, system, name, feature)
    for org_id in (None, f"{1:024x}", f"{4:024x}")
    for system in (None, SYSTEMS[0])
    for name in (None, "nobody")
    for feature in (None, FEATURES[0])
]
SIZES = pytest.mark.parametrize(
    ("short", "long"),
    [(1_000, 4_000), pytest.param(4_000, 16_000, marks=pytest.mark.exhaustive)],
)


@SIZES
def test_on_a_file_a_page_of_the_past_takes_no_more_steps_when_the_log_grows(
    tmp_path: Path, narrow: None, short: int, long: int
) -> None:
    entries = past(6, long, alive=long // 8).entries
    steps: dict[int, list[int]] = {short: [], long: []}
    for size, counted in steps.items():
        with closing(SQLiteDatabase(tmp_path / f"{size}.db")) as database:
            view = SQLiteAudit(database, 1)
            view.create(indexed=True)
            fill(view, entries[:size])
            for where in WHERE:
                ticks: list[None] = []
                with database.reading() as connection:  # the one that the search will use
                    connection.set_progress_handler(partial(ticks.append, None), 10)
                view.tickets_at(size // 2, where, beyond=None, limit=10)
                with database.reading() as connection:
                    connection.set_progress_handler(None, 0)
                counted.append(10 * len(ticks))

    for where, before, after in zip(WHERE, steps[short], steps[long], strict=True):
        assert 0 < after < max(2 * before, 8_000), where
    assert max(steps[long]) < 20_000


@SIZES
def test_on_mongodb_a_page_of_the_past_looks_at_no_more_when_the_log_grows(
    fresh_mongodb_database: Database[Document], narrow: None, short: int, long: int
) -> None:
    view = mongodb_audit(fresh_mongodb_database)
    fill(view, past(6, long, alive=long // 8).entries)

    fresh_mongodb_database.command("profile", 2)
    for where in WHERE:
        view.tickets_at(long // 2, where, beyond=None, limit=10)
    fresh_mongodb_database.command("profile", 0)
    looked = [
        (entry["keysExamined"], entry["docsExamined"])
        for entry in fresh_mongodb_database["system.profile"].find(
            {"keysExamined": {"$exists": True}}
        )
        if "audit" in entry["ns"]
    ]

    assert len(looked) >= 3 * len(WHERE)
    assert max(keys for keys, _ in looked) <= 300
    assert max(documents for _, documents in looked) <= 102
