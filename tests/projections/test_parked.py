"""Tickets that wait, and what operators do about them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from domain.errors import TicketNotParked
from infrastructure.log.codec import encode
from projections.audit.projection import AUDIT
from projections.running.applier import Applier
from projections.running.projection import Projection, Skipped
from projections.tickets.projection import TICKETS
from projections.versions.followed import LiveProjection
from projections.versions.parked import parked_in, retry_everywhere, skip
from projections.versions.rebuild import Wanted
from projections.versions.status import status
from projections.versions.verification import verify
from tests.support.health import poison
from tests.support.rebuilds import House, followed, poisoned, rebuilt, rows, rows_without
from tests.support.server import refused, seen, serving
from tests.support.stories import START, change, id_, rename
from tests.support.view_rows import open_store

BOTH = pytest.mark.parametrize("projection", [TICKETS, AUDIT], ids=lambda p: p.name)


@pytest.fixture
def house(store_url: str) -> Iterator[House]:
    with open_store(store_url) as opened:
        house = House(opened)
        with closing(house.writer):
            house.fill()
            yield house


def skipped(live: LiveProjection[Any], ticket_id: str) -> list[int]:
    found = skip(live, ticket_id, "cli:ada", "made by hand", "operator", lambda: START)
    return [event.position for event in found]


@BOTH
def test_a_skipped_event_is_passed_over_in_every_version_for_good(
    house: House, projection: Projection[Any]
) -> None:
    house.writer.execute(rename("Later", id_(6)))
    live = house.live(poisoned(projection, id_(6), 2))
    followed(live, 1, fence=0)
    rebuilt(live, house.log.head)
    (parked,) = parked_in(live)
    expected = rows_without(house, projection, parked.position)

    assert skipped(live, id_(6)) == [parked.position]

    assert (parked_in(live), rows(live, 1), rows(live, 2)) == ([], expected, expected)
    for version in (1, 2):
        found = verify(live.projected(version))
        assert (found.mismatches, found.parked) == ([], [])
    house.writer.execute(rename("Later still", id_(6)))
    later = rebuilt(live, house.log.head)
    assert (later.state, later.version, later.new and later.new.parked) == ("switched", 3, [])
    assert rows(live, 3) == rows_without(house, projection, parked.position)
    (event,) = status(live).skipped
    assert (event.position, event.ticket_id, event.actor) == (parked.position, id_(6), "cli:ada")
    assert (event.reason, event.at) == ("made by hand", START)


@BOTH
def test_a_version_that_had_applied_an_event_takes_it_back_when_it_is_skipped(
    house: House, projection: Projection[Any]
) -> None:
    good = house.live(projection)
    faulty = house.live(poisoned(projection, id_(6), 2))
    followed(good, 1, fence=0)
    assert rebuilt(faulty, house.log.head, wanted=Wanted(accept_parked=True)).state == "switched"
    house.writer.execute(change("delete_area", ticket_id=id_(6)))
    followed(good, 1, fence=0)
    assert rebuilt(good, house.log.head, wanted=Wanted(dry_run=True)).state == "compared"
    before = rows(good, 1)
    (position,) = skipped(faulty, id_(6))

    expected = rows_without(house, projection, position)
    followed(good, 2, fence=3_000)
    assert rows(good, 1) == rows(good, 2) == expected != before
    for version in (1, 2):
        assert verify(good.projected(version)).mismatches == []
    assert rebuilt(good, house.log.head).state == "switched"
    assert rows(good, 3) == expected


@BOTH
def test_an_event_that_can_not_be_read_can_be_skipped(
    house: House, projection: Projection[Any]
) -> None:
    head = house.log.head()
    renamed = house.log.histories([id_(6)])[id_(6)][-1]
    for n, state in ((1, b"damaged"), (2, None)):
        event = replace(renamed, position=head + n, version=renamed.version + n)
        stored = encode(event)
        stored = replace(stored, state=state) if state else stored
        house.opened.log.commit(head + n - 1, [stored])
    live = house.live(projection)
    followed(live, 1, fence=0)
    assert [parked.position for parked in parked_in(live)] == [head + 1]
    assert skipped(live, id_(6)) == [head + 1]

    assert parked_in(live) == []
    followed(live, 1, fence=2_000)
    assert verify(live.projected(1)).mismatches == []
    assert max(row.version for _, row in rows(live, 1) if _belongs(row, id_(6))) == 4
    assert rebuilt(live, house.log.head).live == []
    assert rows(live, 2) == rows(live, 1)


def _belongs(row: Any, ticket_id: str) -> bool:
    return bool(getattr(row, "ticket_id", None) == ticket_id or getattr(row, "id", 0) == ticket_id)


def test_a_ticket_parks_again_at_the_next_event_that_fails(house: House) -> None:
    house.writer.execute(rename("Later", id_(6)))
    live = house.live(poisoned(TICKETS, id_(6), 2, 3))
    followed(live, 1, fence=0)
    (first,) = parked_in(live)
    skipped(live, id_(6))
    (second,) = parked_in(live)
    assert second.position > first.position
    assert skipped(live, id_(6)) == [second.position]
    assert parked_in(live) == []


def test_whoever_was_killed_between_is_made_up_for_by_the_next(house: House) -> None:
    live = house.live(poisoned(TICKETS, id_(6), 2))
    applier: Applier[Any] = followed(live, 1, fence=0)
    (parked,) = parked_in(live)
    live.versions.skip(Skipped(parked.position, id_(6), "cli:ada", "made by hand", START))
    assert parked_in(live) == [parked]
    Applier(live.projected(1), applier.fence + 1)
    assert parked_in(live) == []


def test_a_retry_reaches_every_version(house: House) -> None:
    faulty = house.live(poisoned(TICKETS, id_(6), 2))
    followed(faulty, 1, fence=0)
    rebuilt(faulty, house.log.head)
    assert retry_everywhere(faulty, id_(6), "operator")
    mended = house.live(TICKETS)
    assert retry_everywhere(mended, id_(6), "operator") is None
    assert parked_in(mended) == []
    assert rows(mended, 1) == rows(mended, 2) == rows_without(house, TICKETS)
    for act in (retry_everywhere, lambda *_: skipped(mended, id_(6))):
        with pytest.raises(TicketNotParked):
            act(mended, id_(6), "operator")


def test_an_operator_skips_over_http_and_it_is_kept_who_and_why(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch)
    with serving(store_url) as served:
        client = served.client()
        created = client.create()
        path, ticket_id = created.headers["Location"], created.json()["_id"]
        poisoned = client.patch(path, json={"name": "poison"}, headers={"If-Match": '"1"'})
        later = client.patch(path, json={"name": "mended"}, headers={"If-Match": '"2"'})
        refused(client.get(path, headers=seen(later)), 503, "projection-behind")
        address = f"/v1/projections/tickets/parked/{ticket_id}/skip"
        for reason in ("", "  "):
            refused(client.post(address, json={"reason": reason}), 422, "invalid-body", "/reason")

        status_now = client.post(address, json={"reason": "never mind"}).json()

        assert (status_now["parked"], len(status_now["skipped"])) == ([], 1)
        assert status_now["skipped"][0]["position"] == int(poisoned.headers["Event-Position"])
        assert client.get(path, headers=seen(later)).json()["name"] == "mended"
        refused(client.post(address, json={"reason": "again"}), 404, "ticket-not-parked")
        staff = served.client("*")
        entries = staff.get("/v1/audit/reads").json()["items"]
        (kept,) = [e for e in entries if e["details"].get("reason") == "never mind"]
        assert (kept["action"], kept["actor"]) == ("projection.event_skipped", "ada")
        assert (kept["details"]["name"], kept["details"]["ticket_id"]) == ("tickets", ticket_id)
