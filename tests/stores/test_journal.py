"""Reads of the audit log are themselves recorded: on every store, over HTTP and by commands."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest
from pymongo.database import Database

from api.composition import open_service
from domain.errors import StoreUnavailable
from infrastructure.configuration.settings import load_settings
from infrastructure.journal.entries import Journal, JournalEntry
from infrastructure.journal.writer import JournalWriter
from infrastructure.mongodb.client import Document
from tests.support.command import run
from tests.support.server import Client, Served, refused, serving
from tests.support.view_rows import ACME, GLOBEX, START, Opened, open_store

ASKED: Final = JournalEntry(
    at=START,
    actor="ada",
    org_id=ACME,
    action="audit.searched",
    details={"actor": "grace", "limit": 7, "a.b": None, "$where": ["ü"]},
    correlation_id="request-1",
)


@pytest.fixture
def stores(store_url: str) -> Iterator[Opened]:
    with open_store(store_url) as opened:
        yield opened


def everything(journal: Journal, org_id: str | None = None) -> list[JournalEntry]:
    return [entry for _, entry in journal.read(org_id, beyond=None, limit=10_000)]


def test_what_is_kept_comes_back_newest_first_by_organisation(stores: Opened) -> None:
    theirs = replace(ASKED, org_id=GLOBEX, actor="grace")
    operators = replace(ASKED, org_id=None, action="projection.rebuilt", details={})
    stores.journal.append([ASKED, theirs])
    stores.journal.append([operators])

    assert everything(stores.journal) == [operators, theirs, ASKED]
    assert everything(stores.journal, ACME) == [ASKED]
    assert everything(stores.journal, GLOBEX) == [theirs]


def test_pages_of_the_journal_follow_each_other_while_it_grows(stores: Opened) -> None:
    kept = [replace(ASKED, correlation_id=f"request-{number}") for number in range(25)]
    stores.journal.append(kept)

    found: list[JournalEntry] = []
    beyond: int | None = None
    while page := stores.journal.read(ACME, beyond=beyond, limit=4):
        found += [entry for _, entry in page]
        beyond = page[-1][0]
        stores.journal.append([ASKED])
    assert found == kept[::-1]


def test_processes_that_write_at_the_same_time_lose_nothing(store_url: str) -> None:
    with open_store(store_url) as one, open_store(store_url) as other:

        def write(stores: Opened, actor: str) -> None:
            for number in range(40):
                entry = replace(ASKED, actor=actor, correlation_id=str(number))
                stores.journal.append([entry, replace(entry, org_id=None)])

        threads = [
            Thread(target=write, args=(one, "one")),
            Thread(target=write, args=(other, "other")),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = one.journal.read(None, beyond=None, limit=1_000)

    assert len(found) == len({number for number, _ in found}) == 160
    for actor in ("one", "other"):
        numbers = [int(e.correlation_id) for _, e in found if (e.actor, e.org_id) == (actor, ACME)]
        assert numbers == list(range(40))[::-1]


def test_a_file_refuses_to_change_its_journal(tmp_path: Path) -> None:
    path = tmp_path / "ticketbook.db"
    with open_store(f"sqlite:///{path}") as stores:
        stores.journal.append([ASKED])
    with closing(sqlite3.connect(path)) as connection:
        for statement in ("DELETE FROM journal", "UPDATE journal SET actor = 'nobody'"):
            with pytest.raises(sqlite3.IntegrityError, match="only grows"):
                connection.execute(statement)


def test_who_is_told_that_his_entry_is_kept_finds_it(stores: Opened) -> None:
    writer = JournalWriter(stores.journal)
    waiting = [writer.submit(replace(ASKED, correlation_id=str(n))) for n in range(200)]
    for kept in waiting:
        kept.result(30)
    writer.close()

    assert [e.correlation_id for e in everything(stores.journal)] == [
        str(n) for n in range(199, -1, -1)
    ]
    with pytest.raises(StoreUnavailable):
        writer.append(ASKED)


# --- over HTTP ---


def reads(client: Client) -> list[dict[str, Any]]:
    answer = client.get("/v1/audit/reads")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_a_search_is_recorded_with_who_asked_for_what(served: Served) -> None:
    ada = served.client()
    asked = {"actor": "grace", "limit": "7"}
    ada.get("/v1/audit", params=asked, headers={"X-Request-ID": "why-1"})

    itself, search = reads(ada)
    assert search["at"].endswith("Z")
    assert search | {"number": 0, "at": ""} == {
        "number": 0,
        "at": "",
        "actor": "ada",
        "orgId": ada.org,
        "action": "audit.searched",
        "details": asked,
        "correlationId": "why-1",
    }
    assert (itself["action"], itself["details"]) == ("journal.read", {})


def test_what_is_refused_is_not_recorded_as_a_read(client: Client) -> None:
    refused(client.get("/v1/audit?order=sideways"), 400, "invalid-parameter", "/query/order")
    refused(client.get("/v1/audit?cursor=AAAA"), 400, "invalid-parameter", "/query/cursor")

    assert [item["action"] for item in reads(client)] == ["journal.read"]


def test_an_organisation_sees_its_own_readers_and_platform_staff_see_all(served: Served) -> None:
    ada, bob, staff = served.client(), served.client(sub="bob"), served.client("*", sub="root")
    for asking in (ada, bob, staff):
        asking.get("/v1/audit")

    assert {item["actor"] for item in reads(ada)} == {"ada"}
    assert {item["actor"] for item in reads(bob)} == {"bob"}
    newest = [(item["actor"], item["orgId"], item["action"]) for item in reads(staff)[1:6]]
    assert newest == [
        ("bob", bob.org, "journal.read"),
        ("ada", ada.org, "journal.read"),
        ("root", None, "audit.searched"),
        ("bob", bob.org, "audit.searched"),
        ("ada", ada.org, "audit.searched"),
    ]


def test_the_journal_is_read_in_pages(client: Client) -> None:
    for number in range(5):
        client.get("/v1/audit", headers={"X-Request-ID": f"why-{number}"})

    ids: list[str] = []
    path: str | None = "/v1/audit/reads?limit=2"
    while path:
        answer = client.get(path)
        ids += [i["correlationId"] for i in answer.json()["items"] if "why" in i["correlationId"]]
        path = answer.links.get("next", {}).get("url")
    assert ids == ["why-4", "why-3", "why-2", "why-1", "why-0"]


def test_nobody_gets_an_answer_that_can_not_be_recorded(
    store: str, store_url: str, request: pytest.FixtureRequest
) -> None:
    with serving(store_url) as served:
        client = served.client()
        assert client.get("/v1/audit").status_code == 200
        if store == "sqlite":
            with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
                connection.execute("DROP TABLE journal")
        else:
            database: Database[Document] = request.getfixturevalue("mongodb_database")
            database.command("collMod", "journal", validator={"nobody": "writes"})

        refused(client.get("/v1/audit"), 503, "store-unavailable")
        assert client.get("/v1/tickets").status_code == 200


# --- by commands ---


def test_commands_that_read_the_audit_log_are_recorded(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/store.db"
    with open_service(load_settings({"TICKETBOOK_STORE": address})):
        pass
    assert run("audit", "search", "--actor", "ada", store=address)[0] == 0
    code, out, err = run("audit", "reads", "--json", store=address)

    assert (code, err) == (0, "")
    itself, search = json.loads(out)
    assert (itself["action"], itself["details"]) == ("journal.read", {"limit": 50})
    assert search["action"] == "audit.searched"
    assert search["details"] == {"actor": "ada", "order": "newest", "limit": 50}
    assert search["actor"].startswith("cli:")
    assert search["orgId"] is None

    code, out, _ = run("audit", "reads", "--limit", "1", store=address)
    assert (code, len(out.splitlines())) == (0, 2)
    assert "journal.read" in out
