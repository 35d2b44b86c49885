"""What changed between two moments, and what did it: as by comparing two folds of the log."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from domain.ticket.events import Event, Recorded
from domain.ticket.state import Ticket
from projections.audit import histories
from projections.audit.diff import TicketDiff, ticket_diffs
from projections.audit.projection import AuditEntry
from projections.audit.search import AuditFilter
from tests.support.audit_questions import fill
from tests.support.command import run
from tests.support.histories import SYSTEMS, entries_of
from tests.support.past import Past, pages, past
from tests.support.server import Client, Served, refused, seen, serving
from tests.support.stories import FOREMAN, created, minute, renamed
from tests.support.view_rows import Opened, open_store


@pytest.fixture
def stores(store_url: str) -> Iterator[Opened]:
    with open_store(store_url) as opened:
        yield opened


def in_force(ticket: Ticket | None) -> set[str]:
    return set(ticket.features) if ticket and not ticket.retired else set()


def net(before: Ticket | None, after: Ticket) -> dict[str, Any]:
    """What should be told of a ticket, less who did it."""
    was, now = bool(before and before.retired), after.retired
    return {
        "added": before is None,
        "retired": now and not was,
        "restored": was and not now,
        "renamed": before is not None and before.name != after.name,
        "granted": in_force(after) - in_force(before),
        "revoked": in_force(before) - in_force(after),
    }


def outline(one: TicketDiff) -> dict[str, Any]:
    return {
        "added": one.added is not None,
        "retired": one.retired is not None,
        "restored": one.restored is not None,
        "renamed": one.renamed is not None,
        "granted": {feature for feature, _ in one.granted},
        "revoked": {feature for feature, _ in one.revoked},
    }


def read_through(
    stores: Opened, where: AuditFilter, after: int, upto: int, limit: int
) -> list[TicketDiff]:
    found: list[TicketDiff] = []
    beyond: int | None = None
    while True:
        page = ticket_diffs(stores.audit, where, after, upto, beyond=beyond, limit=limit)
        assert len(page.diffs) <= limit
        found += page.diffs
        if page.beyond is None:
            return found
        assert beyond is None or page.beyond > beyond
        beyond = page.beyond


def causes_are_true(one: TicketDiff, log: Past, after: int, upto: int) -> bool:
    """Each entry that is named did what it is named for, in between, and nothing undid it since."""
    mine = [e for e in log.entries[after:upto] if e.ticket_id == one.ticket_id]
    return (
        one.added in (None, next((e for e in mine if e.after), None))
        and all([e for e in mine if feature in e.granted][-1] == by for feature, by in one.granted)
        and all([e for e in mine if feature in e.revoked][-1] == by for feature, by in one.revoked)
        and one.retired in (None, *(e for e in mine if e.after and e.after.retired))
        and (one.renamed is None or (one.renamed.after and one.after) is not None)
        and (one.renamed is None or one.renamed in mine)
    )


@pytest.fixture(params=["narrow", pytest.param("as it is", marks=pytest.mark.exhaustive)])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans that look at a few entries only: a short log is a long one to them."""
    if request.param == "narrow":
        for name, few in (("LOOKED_AT", 50), ("_READ", 40), ("_PAGE", 7), ("_TICKETS_AT_ONCE", 3)):
            monkeypatch.setattr(histories, name, few)


@pytest.mark.parametrize(
    ("events", "pairs"), [(500, 30), pytest.param(2_000, 60, marks=pytest.mark.exhaustive)]
)
def test_random_pairs_of_positions_differ_as_two_folds_of_the_log_do(
    stores: Opened, width: None, events: int, pairs: int
) -> None:
    log, random = past(5, events, alive=events // 13), Random(3)
    fill(stores.audit, log.entries)

    for _ in range(pairs):
        after, upto = sorted((random.randrange(events + 1), random.randrange(events + 1)))
        like = random.choice(log.entries)
        where = AuditFilter(
            org_id=random.choice((None, like.org_id)),
            system=random.choice((None, *SYSTEMS)),
            ticket_id=random.choice((None, None, None, like.ticket_id)),
        )
        before, now = log.tickets(after), log.tickets(upto)
        expected = {
            ticket_id: net(before.get(ticket_id), ticket)
            for ticket_id, ticket in now.items()
            if where.org_id in (None, ticket.org_id)
            and where.system in (None, ticket.system)
            and where.ticket_id in (None, ticket_id)
            and any(net(before.get(ticket_id), ticket).values())
        }
        found = read_through(stores, where, after, upto, random.choice((1, 9, 500)))
        assert {one.ticket_id: outline(one) for one in found} == expected
        assert len(found) == len(expected)
        assert all(causes_are_true(one, log, after, upto) for one in found)


def test_a_ticket_that_changed_often_is_read_once_for_a_page(
    stores: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few tickets are asked for."""
    deeds: list[Event] = [
        created(),
        *(renamed(f"Foreman {number}", at=number) for number in range(2, 601)),
    ]
    log = [Recorded(n, FOREMAN, n, minute(n), deed) for n, deed in enumerate(deeds, start=1)]
    fill(stores.audit, entries_of(log))
    between, read = stores.audit.between, Counter[str]()

    def counted(ticket_ids: Collection[str], after: int, upto: int) -> Sequence[AuditEntry]:
        read.update(ticket_ids)
        return between(ticket_ids, after, upto)

    monkeypatch.setattr(stores.audit, "between", counted)
    page = ticket_diffs(stores.audit, AuditFilter(org_id=None), 1, 600, beyond=None, limit=5)
    assert (len(page.diffs), page.beyond) == (1, None)
    assert read == {FOREMAN: 1}


def test_each_change_names_who_made_it(served: Served) -> None:
    ada = served.client()
    bo = served.client(ada.org, sub="bo")
    kept, gone = ada.created(features=["get_all"]), ada.created(name="Viewer")
    start = served.head
    path = f"/v1/tickets/{kept['_id']}"
    body = {"name": "Foreman", "features": ["create_shift"], "reason": "new duty"}
    bo.patch(path, json=body, headers={"If-Match": '"1"'})
    ada.patch(path, json={"name": "Chief"}, headers={"If-Match": "*"})
    ada.delete(f"/v1/tickets/{gone['_id']}", headers={"If-Match": "*"})
    new = ada.create(name="New")
    asked = {"from": start, "to": int(new.headers["Event-Position"])}

    answer = ada.get("/v1/diff", params=asked, headers=seen(new))
    assert answer.status_code == 200, answer.text
    changed, retired, added = answer.json()["items"]
    assert changed["ticketId"] == kept["_id"]
    assert (changed["before"]["name"], changed["after"]["name"]) == ("Night shift", "Chief")
    assert changed["renamed"]["actor"] == "ada"
    (granted,), (revoked,) = changed["granted"], changed["revoked"]
    assert (granted["feature"], revoked["feature"]) == ("create_shift", "get_all")
    assert granted["by"] == revoked["by"]
    assert (granted["by"]["actor"], granted["by"]["reason"]) == ("bo", "new duty")
    assert (changed["added"], changed["retired"], changed["restored"]) == (None, None, None)
    assert (retired["ticketId"], retired["retired"]["action"]) == (gone["_id"], "ticket.retired")
    assert (added["before"], added["added"]["action"]) == (None, "ticket.created")

    assert [one["ticketId"] for one in pages(ada, "/v1/diff", limit=1, **asked)] == [
        one["ticketId"] for one in (changed, retired, added)
    ]
    assert served.client().get("/v1/diff", params=asked).json()["items"] == []
    assert list(pages(ada, "/v1/diff", **{"from": "2020-01-01T00:00:00Z"}, to=start)) != []
    actions = [item["action"] for item in ada.get("/v1/audit/reads").json()["items"]]
    assert "audit.compared" in actions


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("", "/query/from"),
        ("from=yesterday", "/query/from"),
        ("from=", "/query/from"),
        ("from=0&to=2025", "/query/to"),
        ("from=2025-01-01T00:00:00", "/query/from"),
        ("from=2025-13-01T00:00:00Z", "/query/from"),
        ("from=0&to=999999999999999", "/query/to"),
        ("from=0&to=9999-01-01T00:00:00Z", "/query/to"),
        ("from=1&to=0", "/query/from"),
        ("from=0&ticket=x", "/query/ticket"),
        ("from=0&cursor=AAAA", "/query/cursor"),
    ],
)
def test_two_moments_that_are_none_are_refused(client: Client, query: str, pointer: str) -> None:
    client.created()
    problem = refused(client.get(f"/v1/diff?{query}"), 400, "invalid-parameter", pointer)
    assert "[0-9]" not in problem["detail"]


# --- by commands ---


def test_commands_tell_the_past_and_what_has_changed_since(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/store.db"
    with serving(address) as served:
        ada = served.client()
        ticket = ada.created(features=["get_all"])
        moment = ada.get("/v1/audit").json()["items"][0]["recordedAt"]
        body = {"features": ["create_shift"], "reason": "new duty"}
        headers = {"If-Match": '"1"'}
        changed = ada.patch(f"/v1/tickets/{ticket['_id']}", json=body, headers=headers)
        assert ada.history(ticket["_id"], changed)

    code, out, err = run("audit", "at", moment, "--feature", "get_all", "--json", store=address)
    assert (code, err) == (0, "")
    (item,) = json.loads(out)
    assert (item["_id"], item["features"]) == (ticket["_id"], ["get_all"])
    assert (item["grantedBy"]["actor"], item["grantedBy"]["position"]) == ("ada", 1)
    assert json.loads(run("audit", "at", "0", "--json", store=address)[1]) == []
    assert "create_shift" in run("audit", "at", "2", store=address)[1]

    code, out, err = run("audit", "diff", "1", "--org", ada.org, "--json", store=address)
    assert (code, err) == (0, "")
    (difference,) = json.loads(out)
    assert difference["granted"][0]["by"]["reason"] == "new duty"
    lines = run("audit", "diff", "1", moment, store=address)[1].splitlines()
    assert len(lines) == 1
    lines = run("audit", "diff", "0", "2", store=address)[1].splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["shift", "shift"]

    asked = ("audit", "grants", "get_all", moment[:10], "--org", ada.org)
    code, out, err = run(*asked, "--json", store=address)
    assert (code, err) == (0, "")
    (item,) = json.loads(out)
    assert item["ticketId"] == ticket["_id"]
    (grant,) = item["grants"]
    assert (grant["granted"]["position"], grant["revoked"]["position"]) == (1, 2)
    _, line = run(*asked, store=address)[1].splitlines()
    assert "ada at 1, " in line and "ada at 2, " in line
    assert (
        json.loads(run("audit", "grants", "get_all", "2020-02-29", "--json", store=address)[1])
        == []
    )

    for wrong in ("3", "9999-12-31", "yesterdays", "2025-02-30"):
        code, out, _ = run("audit", "grants", "get_all", wrong, store=address)
        assert (code, out) == (2, "")
    for wrong in ("3", "9999-01-01", "yesterdays"):
        code, out, _ = run("audit", "at", wrong, store=address)
        assert (code, out) == (2, "")
