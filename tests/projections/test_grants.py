"""Who could do something on some day, and who granted it, as by going through the whole log."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

import pytest

from api.composition import open_service
from api.wire.fields import iso
from api.wire.moments import span_of
from infrastructure.configuration.settings import load_settings
from infrastructure.mongodb import audit_as_of as mongodb_as_of
from infrastructure.mongodb import audit_search as mongodb_search
from infrastructure.sqlite import audit_as_of as sqlite_as_of
from infrastructure.sqlite import audit_search as sqlite_search
from projections.audit import histories
from projections.audit.grants import Grant, Place, Question, TicketGrants, grants_between
from projections.audit.histories import Reader
from projections.audit.projection import AuditEntry
from tests.support.audit_questions import fill
from tests.support.command import run
from tests.support.histories import FEATURES, SYSTEMS, Histories, entries_of
from tests.support.server import Client, Served, environment, refused, seen, serving
from tests.support.stories import ACME, create, id_, rename
from tests.support.view_rows import Opened, open_store


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that look at no more than a hundred entries: a short log is a long one to them."""
    for module in (sqlite_as_of, mongodb_as_of, sqlite_search, mongodb_search):
        monkeypatch.setattr(module, "SCAN", 100)
    for name, few in (("LOOKED_AT", 50), ("_READ", 40), ("_PAGE", 7), ("_TICKETS_AT_ONCE", 3)):
        monkeypatch.setattr(histories, name, few)


@pytest.fixture
def stores(store_url: str) -> Iterator[Opened]:
    with open_store(store_url) as opened:
        yield opened


def expected(
    entries: Sequence[AuditEntry], asked: Question, after: int, upto: int
) -> list[TicketGrants]:
    """What every ticket granted after each of its entries, looked at one by one."""
    from_the_start: list[TicketGrants] = []
    later: list[TicketGrants] = []
    by_ticket: dict[str, list[AuditEntry]] = {}
    for entry in entries[:upto]:
        by_ticket.setdefault(entry.ticket_id, []).append(entry)
    for _, history in sorted(by_ticket.items()):
        if asked.org_id not in (None, history[-1].org_id):
            continue
        if asked.system not in (None, history[-1].system):
            continue
        grants: list[Grant] = []
        shown: AuditEntry | None = None
        at_start = False
        for number, entry in enumerate(history):
            held = entry.after
            grants_it = bool(held and not held.retired and asked.feature in held.features)
            open_ = bool(grants) and grants[-1].revoked is None
            if grants_it and not open_:
                grants.append(Grant(entry))
            elif open_ and not grants_it:
                grants[-1] = Grant(grants[-1].granted, entry)
            next_one = history[number + 1].position if number + 1 < len(history) else upto + 1
            if grants_it and next_one > after and shown is None:
                shown, at_start = entry, entry.position <= after
        within = [one for one in grants if one.revoked is None or one.revoked.position > after]
        if shown is not None:
            (from_the_start if at_start else later).append(TicketGrants(shown, within))
    return from_the_start + sorted(later, key=lambda one: one.entry.position)


def read_through(
    reader: Reader, asked: Question, after: int, upto: int, limit: int
) -> list[TicketGrants]:
    found: list[TicketGrants] = []
    beyond: Place | None = None
    while True:
        page = grants_between(reader, asked, after, upto, beyond=beyond, limit=limit)
        assert len(page.tickets) <= limit
        found += page.tickets
        if page.beyond is None:
            return found
        beyond = page.beyond


@pytest.mark.parametrize(
    ("events", "questions"), [(800, 70), pytest.param(3_000, 150, marks=pytest.mark.exhaustive)]
)
def test_random_ranges_are_answered_as_by_going_through_the_log(
    stores: Opened, narrow: None, events: int, questions: int
) -> None:
    entries = list(entries_of(Histories(5, alive=events // 30).events(events)))
    fill(stores.audit, entries)
    random, answered, several = Random(3), 0, 0
    for _ in range(questions):
        like = random.choice(entries)
        asked = Question(
            random.choice(FEATURES),
            random.choice((None, like.org_id, "f" * 24)),
            random.choice((None, *SYSTEMS)),
        )
        after = random.randrange(len(entries))
        upto = min(after + random.choice((0, 1, 50, events // 3)), len(entries))

        found = read_through(stores.audit, asked, after, upto, random.choice((1, 7, 200)))

        assert found == expected(entries, asked, after, upto), (asked, after, upto)
        answered += bool(found)
        several += any(len(one.grants) > 1 for one in found)
    assert questions / 3 < answered < questions
    assert several > questions / 15


def test_a_day_is_all_of_it_and_nothing_else() -> None:
    before, last = span_of(date(2025, 10, 28))
    assert before == datetime(2025, 10, 27, 23, 59, 59, 999_000, UTC)
    assert last == datetime(2025, 10, 28, 23, 59, 59, 999_000, UTC)
    assert span_of(date.min)[0] is None
    assert span_of(date.max)[1].year == 9999


def test_who_could_do_it_that_day_and_who_granted_it_is_one_question(served: Served) -> None:
    ada = served.client()
    bo, cy = served.client(ada.org, sub="bo"), served.client(ada.org, sub="cy")
    other = ada.created(features=["create_shift"])
    ticket = ada.created(name="Night shift", features=["get_all"])
    path = f"/v1/tickets/{ticket['_id']}"
    with_it, without = ["get_all", "create_shift"], ["get_all"]
    changes = (
        (bo, {"features": with_it, "reason": "night crew"}),
        (ada, {"features": without}),
        (cy, {"features": with_it}),
        (ada, {"features": without}),
    )
    for client, body in changes:
        last = client.patch(path, json=body, headers={"If-Match": "*"})
        assert last.status_code == 200
    *_, ended = ada.history(ticket["_id"], last)
    today = ended["recordedAt"][:10]

    asked = {"feature": "create_shift", "system": "workforce_2", "on": today}
    answer = ada.get("/v1/grants", params=asked, headers=seen(last))
    items = pages(ada, answer)

    assert [item["ticketId"] for item in items] == [other["_id"], ticket["_id"]]
    assert items[0]["grants"][0]["revoked"] is None
    night_shift = items[1]
    assert (night_shift["orgId"], night_shift["system"]) == (ada.org, "workforce_2")
    assert night_shift["name"] == "Night shift"
    who = [(one["granted"]["actor"], one["revoked"]["actor"]) for one in night_shift["grants"]]
    assert who == [("bo", ended["actor"]), ("cy", ended["actor"])]
    assert night_shift["grants"][0]["granted"]["reason"] == "night crew"
    assert night_shift["grants"][1]["revoked"]["position"] == ended["position"]

    first = ada.get("/v1/grants", params={**asked, "limit": 1})
    assert [item["ticketId"] for item in pages(ada, first)] == [other["_id"], ticket["_id"]]
    for nothing in ({"feature": "get_area"}, {"system": "donear_3"}, {"on": "2020-02-29"}):
        found = ada.get("/v1/grants", params={**asked, **nothing})
        assert pages(ada, found) == []
    assert served.client().get("/v1/grants", params=asked).json() == {"items": [], "next": None}


def test_what_a_clock_that_was_ahead_recorded_is_part_of_today(store_url: str) -> None:
    def ahead() -> datetime:
        now = datetime.now(UTC)
        midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
        return now + min(timedelta(seconds=50), (midnight - now) / 2)

    with open_service(load_settings(environment(store_url)), clock=ahead) as service:
        service.writer.execute(create(id_(1)), rename("Chief", id_(1)))
    with serving(store_url) as served:
        ada = served.client(ACME)
        asked = {"feature": "get_all", "on": iso(datetime.now(UTC))[:10]}
        found = ada.get("/v1/grants", params=asked)
        assert [item["ticketId"] for item in pages(ada, found)] == [id_(1)]
        found = ada.get("/v1/diff", params={"from": "1"})
        (changed,) = pages(ada, found)
        assert changed["renamed"]["position"] == 2
    if store_url.startswith("sqlite"):
        asked_by_command = ("audit", "grants", "get_all", asked["on"], "--json")
        code, out, _ = run(*asked_by_command, store=store_url)
        assert (code, [item["ticketId"] for item in json.loads(out)]) == (0, [id_(1)])


def pages(client: Client, answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    while following := answer.links.get("next", {}).get("url"):
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
    return items


def test_what_is_no_day_and_days_to_come_are_refused(client: Client) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    for wrong in ("2025-02-30", "1730000000", "2025-10-28T00:00:00Z", "today", "", tomorrow):
        asked = {"feature": "get_all", "on": wrong}
        refused(client.get("/v1/grants", params=asked), 400, "invalid-parameter", "/query/on")
    missing = client.get("/v1/grants", params={"on": "2025-10-28"})
    refused(missing, 400, "invalid-parameter", "/query/feature")


def test_a_cursor_belongs_to_its_question(client: Client) -> None:
    for _ in range(2):
        client.created(features=["get_all"])
    asked = {"feature": "get_all", "on": iso(datetime.now(UTC))[:10], "limit": "1"}
    cursor = client.get("/v1/grants", params=asked).json()["next"]
    assert cursor
    other = client.get("/v1/grants", params={**asked, "feature": "get_area", "cursor": cursor})
    refused(other, 400, "invalid-parameter", "/query/cursor")


def test_asking_is_recorded(client: Client) -> None:
    asked = {"feature": "get_all", "on": "2025-10-28"}
    assert client.get("/v1/grants", params=asked).status_code == 200
    entry = client.get("/v1/audit/reads").json()["items"][1]  # the first is this question itself
    assert (entry["action"], entry["details"]) == ("grants.asked", asked)
