"""Lists come in pages, and a cursor belongs to its question."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.server import Client, Served, etag, refused, seen


def pages(client: Client, path: str, **asked: Any) -> Iterator[list[dict[str, Any]]]:
    """Every page, by way of the Link header."""
    answer = client.get(path, params=asked)
    while True:
        assert answer.status_code == 200, answer.text
        yield answer.json()["items"]
        if "next" not in answer.links:
            assert answer.json()["next"] is None
            return
        answer = client.get(answer.links["next"]["url"])


def test_pages_follow_each_other_without_gap_or_repetition(client: Client) -> None:
    ids = [client.created(name=f"Shift {number}")["_id"] for number in range(7)]

    found = list(pages(client, "/v1/tickets", limit=3))

    assert [len(page) for page in found] == [3, 3, 1]
    assert [ticket["_id"] for page in found for ticket in page] == sorted(ids)


def test_a_page_is_the_last_when_it_holds_exactly_what_is_left(client: Client) -> None:
    for _ in range(4):
        client.created()

    assert [len(page) for page in pages(client, "/v1/tickets", limit=2)] == [2, 2]


def test_a_page_holds_50_items_unless_asked_and_at_most_1000(client: Client) -> None:
    for _ in range(51):
        last = client.create()

    assert len(client.get("/v1/tickets", headers=seen(last)).json()["items"]) == 50
    assert len(client.get("/v1/tickets", params={"limit": 1000}).json()["items"]) == 51
    for limit in (0, -1, 1001, "many", ""):
        answer = client.get("/v1/tickets", params={"limit": limit})
        refused(answer, 400, "invalid-parameter", "/query/limit")


def test_changes_while_paging_neither_repeat_nor_skip_a_ticket(client: Client) -> None:
    ids = sorted(client.created()["_id"] for _ in range(9))
    found: list[str] = []

    for page in pages(client, "/v1/tickets", limit=3):
        found += [ticket["_id"] for ticket in page]
        if len(found) == 3:
            retired = client.delete(f"/v1/tickets/{found[-1]}", headers={"If-Match": "*"})
            client.ticket(found[-1], after=retired)
            client.created()

    assert [ticket_id for ticket_id in found if ticket_id in ids] == ids
    assert len(set(found)) == len(found)


def test_entries_added_while_paging_the_audit_log_are_not_repeated_into_it(
    client: Client,
) -> None:
    for _ in range(6):
        client.created()
    found: list[int] = []

    for page in pages(client, "/v1/audit", limit=2):
        found += [entry["position"] for entry in page]
        client.created()

    assert len(found) == 6
    assert found == sorted(set(found), reverse=True)


def test_history_comes_in_pages_too(client: Client) -> None:
    created = client.create()
    path, last = created.headers["Location"], created
    for number in range(4):
        last = client.patch(path, json={"name": f"Shift {number}"}, headers=etag(last))
    client.history(created.json()["_id"], last)

    found = list(pages(client, f"{path}/history", limit=2))
    assert [[entry["version"] for entry in page] for page in found] == [[1, 2], [3, 4], [5]]


@pytest.mark.parametrize(
    "asked",
    [{"system": "workforce_2"}, {"name": "Night shift ☾"}, {"feature": "get_all"}],
)
def test_the_link_to_the_next_page_keeps_the_filters(client: Client, asked: dict[str, str]) -> None:
    for _ in range(3):
        client.created(name="Night shift ☾")
    client.created(name="Other", system="donear_3", features=["get_forecast"])

    answer = client.get("/v1/tickets", params={**asked, "limit": 2})

    link = urlsplit(answer.links["next"]["url"])
    query = {**asked, "limit": "2", "cursor": answer.json()["next"]}
    assert link.path == "/v1/tickets"
    assert parse_qs(link.query) == {name: [value] for name, value in query.items()}
    assert len(client.get(link.geturl()).json()["items"]) == 1


def test_a_cursor_is_bound_to_its_question_and_its_organisation(served: Served) -> None:
    ada, other = served.client(), served.client()
    for client in (ada, other):
        for _ in range(3):
            client.created()
    cursor = ada.get("/v1/tickets", params={"limit": 1}).json()["next"]
    ticket = ada.get("/v1/tickets").json()["items"][0]["_id"]

    assert ada.get("/v1/tickets", params={"limit": 2, "cursor": cursor}).status_code == 200
    for client, path, asked in (
        (ada, "/v1/tickets", {"system": "workforce_2"}),
        (ada, "/v1/tickets", {"name": "Night shift"}),
        (ada, "/v1/tickets", {"feature": "get_all"}),
        (ada, "/v1/audit", {}),
        (ada, f"/v1/tickets/{ticket}/history", {}),
        (other, "/v1/tickets", {}),
        (served.client("*"), "/v1/tickets", {}),
    ):
        answer = client.get(path, params={**asked, "cursor": cursor})
        refused(answer, 400, "invalid-parameter", "/query/cursor")


def test_filters_find_what_they_say(client: Client) -> None:
    night = client.created(name="Night shift", features=["get_all", "get_one"])
    day = client.created(name="Day shift", features=["get_one"])
    forecast = client.created(name="Day shift", system="donear_3", features=["get_all"])

    def found(**asked: str) -> list[str]:
        items = client.get("/v1/tickets", params=asked).json()["items"]
        return [ticket["_id"] for ticket in items]

    assert found() == sorted(ticket["_id"] for ticket in (night, day, forecast))
    assert found(system="donear_3") == [forecast["_id"]]
    assert found(name="Night shift") == [night["_id"]]
    assert found(name="Night") == []
    assert found(feature="get_one") == sorted([night["_id"], day["_id"]])
    assert found(name="Day shift", feature="get_all", system="donear_3") == [forecast["_id"]]
    assert found(name="Night shift", system="donear_3") == []
