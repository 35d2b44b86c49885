"""Tickets from the command line: the same writer as HTTP, by the operator's own account."""

import json
import os
import pwd
from pathlib import Path
from typing import Any, Final

import pytest

from api.cli.journaling import os_user
from api.composition import open_stores
from infrastructure.configuration.settings import load_settings
from tests.support.command import run

ORG: Final = "52f22665a60c12d289185d95"
OTHER: Final = "65da4715b8cd3a97f11ae651"
CREATE: Final = ("create", "--org", ORG, "--system", "workforce_2")


class Tickets:
    """`ticketbook tickets` on one store."""

    def __init__(self, store: str) -> None:
        self.store = store

    def run(self, *command: str) -> tuple[int, str, str]:
        return run("tickets", *command, store=self.store)

    def json(self, *command: str) -> Any:
        code, out, err = self.run(*command, "--json")
        assert code == 0, err
        return json.loads(out)

    def created(self, name: str = "Night", *options: str) -> str:
        ticket_id: str = self.json(*CREATE, "--name", name, "--feature", "get_all", *options)["_id"]
        return ticket_id


@pytest.fixture
def tickets(store_url: str) -> Tickets:
    with open_stores(load_settings({"TICKETBOOK_STORE": store_url})):
        return Tickets(store_url)


def test_a_ticket_lives_by_commands_and_the_audit_log_says_who_and_why(tickets: Tickets) -> None:
    ticket = tickets.created("Night 🌙", "--reason", "new shift")
    grant = ("--grant", "create_worker", "--name", "Day")
    changed = tickets.json("change", ticket, *grant, "--reason", "new duty")
    assert (changed["name"], changed["features"]) == ("Day", ["get_all", "create_worker"])
    assert tickets.json("change", ticket, "--feature", "get_all")["features"] == ["get_all"]
    assert tickets.json("change", ticket, "--revoke", "get_all")["features"] == []
    assert tickets.json("retire", ticket, "--reason", "gone")["retired"] is True
    assert tickets.json("list") == []
    assert [one["_id"] for one in tickets.json("list", "--retired")] == [ticket]
    assert tickets.json("show", ticket)["retired"] is True
    restored = tickets.json("restore", ticket, "--reason", "back")
    assert [one["_id"] for one in tickets.json("list")] == [ticket]
    assert tickets.json("show", ticket) == restored
    out = run("audit", "search", "--order", "oldest", "--json", store=tickets.store)[1]
    entries = [(each["actor"], each["action"], each["reason"]) for each in json.loads(out)]
    me = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    assert me == os_user()
    assert entries == [
        (me, "ticket.created", "new shift"),
        (me, "ticket.renamed", "new duty"),
        (me, "ticket.features_changed", "new duty"),
        (me, "ticket.features_changed", None),
        (me, "ticket.features_changed", None),
        (me, "ticket.retired", "gone"),
        (me, "ticket.restored", "back"),
    ]


def test_a_dry_run_says_what_would_be_and_writes_nothing(tickets: Tickets) -> None:
    code, out, err = tickets.run(*CREATE, "--name", "x", "--dry-run")
    assert (code, "would be created. Nothing was done." in err) == (0, True)
    assert tickets.json("list") == []
    ticket = tickets.created()
    for command in (
        ("change", ticket, "--name", "y", "--grant", "create_worker"),
        ("retire", ticket),
    ):
        code, out, err = tickets.run(*command, "--dry-run")
        assert (code, "Nothing was done." in err, bool(out)) == (0, True, True)
    assert tickets.run("retire", OTHER, "--dry-run")[0] == 2
    assert tickets.json("show", ticket)["version"] == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ((*CREATE, "--name", " "), "name"),
        ((*CREATE, "--name", "x", "--feature", "get_al"), "Did you mean 'get_all'?"),
        (("create", "--org", ORG, "--system", "workforce", "--name", "x"), "Did you mean"),
        (("create", "--org", "x", "--system", "workforce_2", "--name", "x"), "24 lower-case"),
        ((*CREATE, "--name", "x", "--idempotency-key", "a b"), "without spaces"),
        ((*CREATE, "--name", "x", "--reason", "x" * 1_001), "--reason"),
        ((*CREATE, "--name", "x" * 1_000_000), "name"),
        (("change", ORG), "there is nothing to change"),
        (("change", ORG, "--grant", "get_all", "--feature", "get_all"), "not both ways at once"),
        (("change", ORG, "--name", "x"), "There is no ticket"),
        (("show", ORG), "There is no ticket"),
        (("show", "x"), "24 lower-case"),
        (("list", "--feature", "get_al"), "Did you mean 'get_all'?"),
        (("list", "--name-contains", ""), "is empty"),
    ],
)
def test_a_mistake_is_wrong_usage_and_says_what_to_correct(
    tmp_path: Path, command: tuple[str, ...], said: str
) -> None:
    store = f"sqlite:///{tmp_path}/store.db"
    with open_stores(load_settings({"TICKETBOOK_STORE": store})):
        code, out, err = run("tickets", *command, store=store)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err) < 2_000


def test_a_ticket_of_another_organisation_or_version_is_left_alone(tickets: Tickets) -> None:
    ticket = tickets.created()
    for command in (("change", ticket, "--name", "y"), ("retire", ticket), ("restore", ticket)):
        assert tickets.run(*command, "--org", OTHER)[0] == 2
        code, _, err = tickets.run(*command, "--version", "7")
        assert (code, "is at version 1, not 7" in err) == (2, True), command
    assert tickets.run("show", ticket, "--org", OTHER)[0] == 2
    assert tickets.json("show", ticket, "--org", ORG)["version"] == 1


def test_a_script_that_is_run_twice_creates_each_ticket_once(tickets: Tickets) -> None:
    first = [tickets.created(f"Crew {n}", "--idempotency-key", f"crew-{n}") for n in range(3)]
    again = [tickets.created(f"Crew {n}", "--idempotency-key", f"crew-{n}") for n in range(3)]
    assert first == again
    assert len(tickets.json("list")) == 3
    code, _, err = tickets.run(*CREATE, "--name", "Other", "--idempotency-key", "crew-0")
    assert (code, "key" in err.lower()) == (2, True)


def test_a_list_shows_what_was_just_written_though_nobody_serves(tickets: Tickets) -> None:
    for number in range(5):
        tickets.created(f"Crew {number}")
    code, out, err = tickets.run("list", "--limit", "2")
    assert (code, len(out.splitlines())) == (0, 3)
    assert err == "2 of 5 tickets. See more with --limit or --all.\n"
    assert len(tickets.json("list", "--all")) == 5
    assert [one["name"] for one in tickets.json("list", "--name-contains", "W 3")] == ["Crew 3"]
    assert tickets.run("list", "--org", OTHER)[2] == f"No tickets with org {OTHER}.\n"


def test_no_store_is_made_by_a_slip(tmp_path: Path) -> None:
    code, _, err = run("tickets", *CREATE, "--name", "x", store=f"sqlite:///{tmp_path}/typo.db")
    assert (code, "There is no store" in err) == (3, True)
    assert list(tmp_path.iterdir()) == []
