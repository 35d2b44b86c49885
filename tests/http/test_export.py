"""`/v1/audit/head` and `/v1/audit/export`, over real sockets."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

from api.export import export as exporting
from api.export.check import check_export
from api.export.heads import head_text
from domain.errors import StoreUnavailable
from infrastructure.keys.signing_key import signing_key_of
from tests.support.server import Client, Served, refused, seen, serving, token_for, until
from tests.support.stories import quarantine

STAFF: Final = "*"


def lines_of(answer: httpx.Response) -> list[bytes]:
    return [line + b"\n" for line in answer.content.split(b"\n")[:-1]]


@pytest.mark.parametrize("style", ["ndjson", "csv"])
def test_an_export_is_what_the_caller_may_search_and_can_be_checked(
    served: Served, client: Client, style: str
) -> None:
    other = served.client()
    tickets = [client.created(name=f"Crew {number}") for number in range(3)]
    other.created()
    key = signing_key_of(served.service.settings).public

    answer = client.get("/v1/audit/export", params={"format": style})

    assert answer.status_code == 200
    media = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}[style]
    assert answer.headers["Content-Type"] == media
    assert answer.headers["Content-Disposition"] == f'attachment; filename="audit.{style}"'
    assert check_export(lines_of(answer), key).entries == 3
    assert all(ticket["_id"] in answer.text for ticket in tickets)
    assert other.org not in answer.text


def test_an_export_takes_the_filters_of_the_search(served: Served, client: Client) -> None:
    ticket = client.created()
    client.created(name="Another")
    asked = {"ticket": ticket["_id"], "granted": "get_all", "action": "ticket.created"}
    *entries, head = map(json.loads, lines_of(client.get("/v1/audit/export", params=asked)))
    assert [entry["ticketId"] for entry in entries] == [ticket["_id"]]
    assert head["head"]["filter"] == {
        "org_id": client.org,
        "ticket_id": ticket["_id"],
        "granted": "get_all",
        "action": "ticket.created",
    }


def test_an_export_shows_what_the_caller_wrote(client: Client) -> None:
    for _ in range(5):
        created = client.create()
        exported = client.get("/v1/audit/export", headers=seen(created))
        assert created.json()["_id"] in exported.text


def test_platform_staff_export_everything_and_others_their_own(
    served: Served, client: Client
) -> None:
    client.created()
    staff = served.client(STAFF)
    key = signing_key_of(served.service.settings).public
    everything = lines_of(staff.get("/v1/audit/export"))
    assert check_export(everything, key).entries == len(everything) - 1 > 0
    theirs = lines_of(staff.get("/v1/audit/export", params={"org": client.org}))
    assert len(theirs) == 2
    asked = client.get("/v1/audit/export", params={"org": "52f22665a60c12d289185d95"})
    refused(asked, 403, "platform-staff-only")


def test_what_is_wrong_is_said_before_the_first_byte(served: Served, client: Client) -> None:
    asked = client.get("/v1/audit/export", params={"format": "xml"})
    refused(asked, 400, "invalid-parameter", "/query/format")
    asked = client.get("/v1/audit/export", params={"actr": "ada"})
    assert (
        "Did you mean 'actor'?" in refused(asked, 400, "invalid-parameter", "/query/actr")["detail"]
    )
    reader = served.client(client.org, scope="tickets:read")
    refused(reader.get("/v1/audit/export"), 403, "scope-missing")
    refused(reader.get("/v1/audit/head"), 403, "scope-missing")


def test_an_export_and_a_head_are_noted(client: Client) -> None:
    client.created()
    client.get("/v1/audit/export", params={"actor": "ada"})
    client.get("/v1/audit/head")
    noted = client.get("/v1/audit/reads").json()["items"]
    actions = {one["action"]: one for one in noted}
    assert {"audit.exported", "audit.head_read"} <= actions.keys()
    assert actions["audit.exported"]["details"] == {"actor": "ada"}


def test_the_head_is_where_the_log_ends_signed(served: Served, client: Client) -> None:
    client.created()
    head = client.get("/v1/audit/head").json()
    key = signing_key_of(served.service.settings).public
    ending = served.service.log.ending()
    assert (head["position"], head["hash"]) == (ending.position, ending.hash.hex())
    text = head_text(head["position"], head["hash"], head["time"])
    assert key.signed(text, head["signature"])
    assert head["key"] == key.name


def test_without_a_key_nothing_is_signed(mongodb_url: str, tmp_path: Any) -> None:
    with serving(mongodb_url, TICKETBOOK_SIGNING_KEY=str(tmp_path / "gone.pem")) as served:
        for path in ("/v1/audit/head", "/v1/audit/export"):
            problem = refused(served.client().get(path), 503, "signing-key-missing")
            assert "TICKETBOOK_SIGNING_KEY" in problem["detail"]
            assert str(tmp_path) not in problem["detail"]


@pytest.fixture
def large(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Thirty megabytes to export, in pages of five lines; the pages read so far."""
    asked = quarantine()
    numbers = count(served.head + 1)
    for _ in range(150):
        ticket_id = f"{next(numbers):024x}"
        record = '{"a":"' + "x" * 200_000 + '"}'
        content = replace(asked.quarantined, record=record)
        position = served.service.writer.execute(
            replace(asked, ticket_id=ticket_id, quarantined=content)
        ).position
    assert served.service.projections["audit"].live_version.progress.wait(position, 30)
    monkeypatch.setattr(exporting, "PAGE", 5)
    pages: list[int] = []
    read = exporting._lines

    def counted(log: Any, entries: Any) -> Any:
        pages.append(len(entries))
        return read(log, entries)

    monkeypatch.setattr(exporting, "_lines", counted)
    yield pages


@pytest.mark.parametrize("served", ["sqlite"], indirect=True)
def test_a_slow_reader_is_waited_for_and_one_who_leaves_is_not(
    served: Served, large: list[int]
) -> None:
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        address = urlsplit(served.url)
        reader.connect((address.hostname, address.port))
        request = (
            "GET /v1/audit/export HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {token_for(STAFF)}\r\n\r\n"
        )
        reader.sendall(request.encode())
        assert reader.recv(12) == b"HTTP/1.1 200"
        # as much as the sockets hold is sent, and then nothing more is read from the store
        assert 0 < settled(large) < 20
    assert settled(large) < 25


def settled(pages: list[int]) -> int:
    """The number of pages that were read, once there were some and no more for a second."""
    seen, since = len(pages), monotonic()

    def quiet() -> bool:
        nonlocal seen, since
        if len(pages) != seen:
            seen, since = len(pages), monotonic()
        return bool(pages) and monotonic() - since > 1

    until(quiet)
    return seen


@pytest.mark.parametrize("served", ["sqlite"], indirect=True)
def test_a_failure_on_the_way_leaves_no_head(
    served: Served, large: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = type(served.service.projections["audit"].live_version.view)
    page = view.page

    def failing(self: Any, *given: Any, **named: Any) -> Any:
        if len(large) > 3:
            raise StoreUnavailable("gone")
        return page(self, *given, **named)

    monkeypatch.setattr(view, "page", failing)
    received = b""
    with (
        pytest.raises(httpx.RemoteProtocolError),
        served.client(STAFF).stream("GET", "/v1/audit/export") as answer,
    ):
        assert answer.status_code == 200
        for piece in answer.iter_raw():
            received += piece
    assert received
    assert b'"head"' not in received
