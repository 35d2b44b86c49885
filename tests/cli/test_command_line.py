"""The command line, as an operator runs it: a process, its output, its exit code."""

import json
import signal
import socket
import sqlite3
import subprocess
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import pytest
import typer
from typer.testing import CliRunner

from api.cli import waiting
from api.cli.main import app
from api.cli.output import reporting, say
from api.cli.progress import Meter
from api.cli.projections import monitor
from api.composition import open_service, open_stores
from domain.errors import StoreUnavailable
from domain.origin import Origin, milliseconds
from domain.ticket.commands import CreateTicket
from infrastructure.configuration.settings import load_settings
from infrastructure.mongodb import client
from projections.versions.control import DROP_AFTER
from tests.support.command import COMMAND, clean_environment, run, start_process

ORG: Final = "52f22665a60c12d289185d95"


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that commands of this process would have waited until nobody reads what they
    delete. For views that nobody keeps current they wait a moment."""
    seconds: list[float] = []
    monkeypatch.setattr(monitor, "sleep", seconds.append)
    monkeypatch.setattr(waiting, "_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.5)
    return seconds


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The address of a SQLite store that holds three tickets, all projected."""
    address = f"sqlite:///{tmp_path}/store.db"
    with open_service(load_settings({"TICKETBOOK_STORE": address})) as service:
        for number in range(3):
            origin = Origin("ada", "for a test", "run-1", None, milliseconds(service.clock()))
            ticket_id = f"{number:024x}"
            service.writer.execute(
                CreateTicket(ticket_id, origin, ORG, "workforce_2", f"Crew {number}", ("get_all",))
            )
        for running in service.projections.values():
            assert running.live_version.progress.wait(3, timeout=60)
    return address


def test_an_error_begins_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), reporting():
        Meter().tell("records", 1, 2)
        raise StoreUnavailable("It is gone.")
    assert capsys.readouterr().err.endswith(" left\nticketbook: It is gone.\n")
    say("\nInterrupted.")
    assert capsys.readouterr().err == "\nInterrupted.\n"


@pytest.mark.parametrize(
    "command",
    [
        "serve",
        "token",
        "projections status",
        "projections rebuild",
        "projections verify",
        "projections pause",
        "projections throttle",
        "projections cancel",
        "projections parked list",
        "projections parked retry",
        "projections parked skip",
        "audit search",
        "audit reads",
        "audit at",
        "audit diff",
        "audit head",
        "audit key",
        "audit export",
        "audit verify",
        "migrate plan",
        "migrate backup",
        "migrate run",
        "migrate verify",
        "migrate quarantine list",
        "migrate quarantine show",
        "migrate quarantine retry",
        "catalogue check",
        "migrate follow",
        "migrate rollback",
        "migrate retire",
        "migrate adopt",
        "migrate adopt plan",
        "migrate adopt rollback",
        "migrate adopt verify",
        "catalogue show",
        "legacy usage",
        "tickets create",
        "tickets list",
        "tickets show",
        "tickets change",
        "tickets retire",
        "tickets restore",
    ],
)
def test_every_help_has_an_example(command: str) -> None:
    # in this process: starting one for each takes a minute and shows no more
    told = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="ticketbook")
    assert told.exit_code == 0
    assert f"Example:  ticketbook {command}" in told.output


def test_a_healthy_store_verifies_and_says_how_it_stands(store: str) -> None:
    for name in ("tickets", "audit"):
        code, out, err = run("projections", "verify", name, "--json", store=store)
        assert (code, err) == (0, "")
        assert json.loads(out) == {
            "position": 3,
            "rows": 3,
            "parked": [],
            "differences": [],
            "remaining": 0,
        }


def test_a_rebuild_shows_machines_its_comparison(store: str) -> None:
    code, out, _ = run("projections", "rebuild", "tickets", "--dry-run", "--json", store=store)
    assert (code, json.loads(out)) == (
        0,
        {
            "state": "compared",
            "version": 2,
            "position": 3,
            "live": [],
            "new": {"position": 3, "rows": 3, "parked": [], "differences": []},
            "parked": [],
        },
    )


def test_a_dry_run_that_is_done_says_so_in_the_status(store: str) -> None:
    assert run("projections", "rebuild", "tickets", "--dry-run", store=store)[0] == 0
    _, out, err = run("projections", "status", store=store)
    assert "complete up to 3, not live" in " ".join(out.split())
    assert "tickets: version 2 is complete and not live. To switch to it:" in err
    shown = json.loads(run("projections", "status", "--json", store=store)[1])
    assert shown[0]["versions"][1]["build"]["complete"] is True
    assert run("projections", "rebuild", "tickets", store=store)[0] == 0
    assert "not live" not in run("projections", "status", store=store)[2]


def test_what_differs_is_shown_and_put_right_when_asked(store: str) -> None:
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE tickets_1 SET name = 'Eve' WHERE id LIKE '%1'")
    verify = ("projections", "verify", "tickets")
    wrong = {"kind": "changed", "key": f"{1:024x}", "ticketId": f"{1:024x}"}
    for options in ((), ("--repair", "--dry-run")):
        code, out, _ = run(*verify, *options, "--json", store=store)
        assert (code, json.loads(out)["differences"]) == (1, [wrong])
    code, out, err = run(*verify, "--repair", store=store)
    assert (code, out) == (0, f"changed: ticket {1:024x}\n")
    assert "Repaired 1; 0 remain." in err
    assert run(*verify, store=store)[0] == 0
    done = json.loads(run("audit", "reads", "--json", store=store)[1])
    assert "projection.repaired" in [entry["action"] for entry in done]
    assert [entry["action"] for entry in done].count("projection.verified") == 3


def test_a_rebuild_is_controlled_from_another_process(store: str) -> None:
    assert run("projections", "pause", "tickets", store=store)[0] == 2
    with open_stores(load_settings({"TICKETBOOK_STORE": store})) as stores:
        stores.tickets.begin(3, 1)
        assert (
            "version 2 of 3 events: paused"
            in run("projections", "pause", "tickets", store=store)[2]
        )
        rate = ("throttle", "tickets", "--rate", "500")
        assert "paused, at most 500 events/s" in run("projections", *rate, store=store)[2]
        fast = ("throttle", "tickets", "--rate", "1000000001")
        assert run("projections", *fast, store=store)[0] == 2
        said = run("projections", "resume", "tickets", store=store)[2]
        assert "running, at most 500" in said
        assert "Nobody is building it: ticketbook projections rebuild tickets goes on" in said
        out = run("projections", "status", "--json", store=store)[1]
        build = {"target": 3, "progress": 0.0, "complete": False, "paused": False, "rate": 500}
        assert json.loads(out)[0]["versions"][1]["build"] == build
        tried = run("projections", "cancel", "tickets", "--dry-run", store=store)[2]
        assert "would be cancelled" in tried
        assert stores.tickets.registry().building
        assert run("projections", "cancel", "tickets", store=store)[0] == 0
        assert stores.tickets.registry().building is None


def test_parked_tickets_are_listed_and_skipped_with_a_reason(store: str) -> None:
    path = store.removeprefix("sqlite:///")
    ticket = f"{1:024x}"
    parked = ("projections", "parked")
    assert run(*parked, "list", "tickets", "--json", store=store) == (0, "[]\n", "")
    with closing(sqlite3.connect(path)) as connection, connection:
        row = ("tickets@1", ticket, 2, "ZeroDivisionError: poisoned", 0)
        connection.execute("INSERT INTO parked VALUES (?, ?, ?, ?, ?)", row)
        connection.execute("DELETE FROM tickets_1 WHERE id = ?", (ticket,))
    code, out, _ = run(*parked, "list", "tickets", "--json", store=store)
    assert (code, json.loads(out)[0]["ticketId"]) == (1, ticket)
    assert run(*parked, "skip", "tickets", ticket, "--reason", " ", store=store)[0] == 2
    code, _, err = run(*parked, "skip", "tickets", ticket, "--reason", "no use", store=store)
    assert (code, "passes over 2" in err) == (0, True)
    assert "position 2 is skipped: no use" in run("projections", "status", store=store)[2]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO parked VALUES (?, ?, ?, ?, ?)", ("tickets@1", f"{2:024x}", 3, "", 0)
        )
    assert run(*parked, "retry", "tickets", store=store)[0] == 2
    code, _, err = run(*parked, "retry", "tickets", "--all", store=store)
    assert (code, "no longer parked" in err) == (0, True)


def test_a_parked_ticket_hides_nothing_of_others_and_nothing_of_earlier(store: str) -> None:
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as connection, connection:
        row = ("audit@1", f"{1:024x}", 2, "ZeroDivisionError: poisoned", 0)
        connection.execute("INSERT INTO parked VALUES (?, ?, ?, ?, ?)", row)
    for whole in (
        *(("at", "1"), ("at", "3", "--org", ORG[::-1])),
        ("diff", "0", "3", "--ticket", f"{2:024x}"),
    ):
        code, _, err = run("audit", *whole, store=store)
        nothing = f"No tickets with org {ORG[::-1]}.\n"
        assert (code, err) == (0, nothing if ORG[::-1] in whole else ""), whole
    for less in (("at", "2", "--org", ORG), ("diff", "2", "3")):
        code, out, err = run("audit", *less, store=store)
        assert (code, out) == (1, ""), less
        assert f"Ticket {1:024x} is parked at position 2" in err


def test_status_exits_with_one_when_nobody_runs_the_projections(store: str) -> None:
    code, out, _ = run("projections", "status", "--json", store=store)
    assert code == 1
    assert [(one["name"], one["state"], one["position"]) for one in json.loads(out)] == [
        ("tickets", "down", 3),
        ("audit", "down", 3),
    ]


def test_a_rebuild_leaves_the_view_as_the_log_says(store: str) -> None:
    code, out, err = run("projections", "rebuild", "audit", store=store)
    assert (code, out) == (0, "")
    assert "audit: version 2 is live, at position 3." in err
    assert run("projections", "verify", "audit", store=store)[0] == 0


def test_a_dry_run_changes_nothing(store: str) -> None:
    code, _, err = run("projections", "rebuild", "audit", "--dry-run", store=store)
    assert code == 0
    assert "audit: version 2 is ready; the live one stays." in err
    assert run("projections", "rollback", "audit", store=store)[0] == 2
    harm(store, "DELETE FROM audit_1 WHERE position = 2")
    code, out, _ = run("projections", "rebuild", "audit", "--dry-run", store=store)
    assert (code, out[:27]) == (1, "missing in the live version")
    done = json.loads(run("audit", "reads", "--json", store=store)[1])
    assert [entry["action"] for entry in done] == ["journal.read"]


def harm(store: str, statement: str) -> None:
    """To the file itself."""
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(statement)


def test_an_event_that_can_not_be_read_reverts_no_ticket_and_is_settled_before_a_switch(
    store: str,
) -> None:
    harm(store, "UPDATE events SET state = x'00' WHERE position = 2")
    ticket, why = f"{1:024x}", "position 2: EventUnreadable: "
    code, out, err = run("projections", "verify", "tickets", "--repair", store=store)
    assert (code, out.startswith(f"unreadable: ticket {ticket}, {why}")) == (1, True)
    assert "Repaired 0; 1 remain." in err and "Mend the cause" in err
    code, out, err = run("projections", "rebuild", "tickets", store=store)
    assert (code, out) == (1, f"parked in the new version: ticket {ticket}, position 2\n")
    assert "version 2 parks 1 ticket(s) that the live one shows" in err
    found = json.loads(run("projections", "parked", "list", "--json", store=store)[1])
    assert ([one["ticketId"] for one in found["tickets"]], found["audit"]) == ([ticket], [])
    skip = ("parked", "skip", "tickets", ticket, "--reason", "damaged")
    assert run("projections", *skip, store=store)[0] == 0
    code, _, err = run("projections", "rebuild", "tickets", store=store)
    assert (code, "version 2 is live" in err) == (0, True)


def test_without_a_name_all_projections_are_meant(store: str) -> None:
    code, out, err = run("projections", "verify", "--json", store=store)
    assert (code, err, list(json.loads(out))) == (0, "", ["tickets", "audit"])
    code, _, err = run("projections", "rollback", store=store)
    assert (code, "No projection has an earlier version" in err) == (2, True)
    code, _, err = run("projections", "drop-old", store=store)
    assert (code, "No projection has a version to drop" in err) == (0, True)


def test_who_cancels_ends_the_rebuild_with_five_and_what_is_left_is_dropped(store: str) -> None:
    with open_stores(load_settings({"TICKETBOOK_STORE": store})) as stores:
        stores.tickets.begin(3, 1)
        stores.tickets.control(paused=True)
        rebuild = start_process("projections", "rebuild", "tickets", store=store)
        said = told(rebuild, "resume tickets")
        assert "paused: go on with ticketbook projections resume tickets" in said
        cancel = start_process("projections", "cancel", "tickets", store=store)
        told(cancel, "waiting 10 s until nobody reads it")
        cancel.send_signal(signal.SIGINT)
        assert "drop-old tickets deletes what is left" in cancel.communicate(timeout=30)[1]
        rebuild.communicate(timeout=30)
        assert (rebuild.returncode, cancel.returncode) == (5, 130)
        err = run("projections", "drop-old", "--dry-run", store=store)[2]
        assert err == "tickets: would drop versions: 2.\n"
        assert stores.tickets.leftovers() == [2]


def told(process: "subprocess.Popen[str]", text: str) -> str:
    """What it says on stderr until it has said this."""
    assert process.stderr
    said = ""
    while text not in said:
        read = process.stderr.read(1)
        assert read, said
        said += read
    return said


def test_a_rebuild_can_be_taken_back_and_the_old_version_dropped(
    store: str, waits: list[float]
) -> None:
    run("projections", "rebuild", "tickets", store=store)
    assert "version 1 is live again" in run("projections", "rollback", "tickets", store=store)[2]
    code, _, err = run("projections", "drop-old", "tickets", store=store)
    assert (code, "dropped versions: 2." in err) == (0, True)
    assert waits == [DROP_AFTER]
    assert run("projections", "verify", "tickets", store=store)[0] == 0


def test_an_unknown_projection_is_wrong_usage_and_names_the_known(store: str) -> None:
    code, _, err = run("projections", "verify", "ticket", store=store)
    assert code == 2
    assert "tickets, audit" in err


def test_retrying_a_ticket_that_is_not_parked_is_wrong_usage(store: str) -> None:
    code, _, err = run("projections", "parked", "retry", "tickets", f"{1:024x}", store=store)
    assert code == 2
    assert "no parked ticket" in err


def test_the_audit_log_is_searched_by_any_combination(store: str) -> None:
    code, out, err = run(
        *("audit", "search", "--org", ORG, "--feature", "get_all", "--limit", "2", "--json"),
        store=store,
    )
    assert (code, err) == (0, "2 of 3 entries. See more with --limit or --all.\n")
    assert [(entry["position"], entry["actor"], entry["reason"]) for entry in json.loads(out)] == [
        (3, "ada", "for a test"),
        (2, "ada", "for a test"),
    ]
    assert json.loads(run("audit", "search", "--actor", "bo", "--json", store=store)[1]) == []


@pytest.mark.parametrize("command", ["search", "export"])
def test_what_the_audit_log_does_not_show_is_said(store: str, command: str) -> None:
    asked = ("audit", command, "--ticket", f"{1:024x}")
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as connection, connection:
        row = ("audit@1", f"{1:024x}", 2, "ZeroDivisionError: poisoned", 0)
        connection.execute("INSERT INTO parked VALUES (?, ?, ?, ?, ?)", row)
    code, out, err = run(*asked, store=store)
    assert (code, bool(out)) == (0, True)
    assert f"Ticket {1:024x} is parked at position 2: what happened to it since does not" in err
    assert "parked" not in run("audit", command, "--ticket", f"{2:024x}", store=store)[2]

    with open_service(load_settings({"TICKETBOOK_STORE": store}), run_projections=False) as service:
        origin = Origin("ada", None, "run-2", None, milliseconds(service.clock()))
        service.writer.execute(CreateTicket("f" * 24, origin, ORG, "workforce_2", "Late", ()))
    code, out, err = run(*asked, store=store)
    assert (code, out) == (1, "")
    assert "The audit log stands at position 3, not yet at 4." in err
    assert "ticketbook serve" in err and "--before-position" in err
    assert run(*asked, "--before-position", "4", store=store)[0] == 0


def test_a_check_says_what_it_could_not_compare(store: str) -> None:
    path = store.removeprefix("sqlite:///")
    nothing: dict[str, object] = {"audit": [], "parked": [], "skipped": [], "behind": False}

    def checked() -> tuple[int, dict[str, object], str]:
        code, out, err = run("audit", "verify", "--json", store=store)
        return code, {name: json.loads(out)[name] for name in nothing}, err

    assert checked()[:2] == (0, nothing)
    with closing(sqlite3.connect(path)) as connection, connection:
        row = ("audit@1", f"{1:024x}", 2, "ZeroDivisionError: poisoned", 0)
        connection.execute("INSERT INTO parked VALUES (?, ?, ?, ?, ?)", row)
        connection.execute("DELETE FROM audit_1 WHERE position = 2")
        connection.execute("DELETE FROM audit_1_features WHERE position = 2")
    code, found, err = checked()
    assert (code, found) == (1, nothing | {"parked": [f"{1:024x}"]})
    assert f"parked, not compared: ticket {1:024x}" in err
    skip = ("projections", "parked", "skip", "audit", f"{1:024x}", "--reason", "odd")
    assert run(*skip, store=store)[0] == 0
    code, found, err = checked()
    assert (code, found) == (0, nothing | {"skipped": [2]})
    assert "skipped, not compared: position 2; cli:" in err and " said: odd" in err
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE checkpoints SET position = 2 WHERE view = 'audit@1'")
        connection.execute("DELETE FROM audit_1 WHERE position = 3")
        connection.execute("DELETE FROM audit_1_features WHERE position = 3")
    code, found, err = checked()
    assert (code, found) == (1, nothing | {"skipped": [2], "behind": True})
    assert "The audit log stands at position 2, not yet at 3." in err


@pytest.mark.parametrize(
    "command", ["audit search", "audit search --json", "audit export", "projections status"]
)
def test_output_that_has_no_room_is_told(store: str, command: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [COMMAND, *command.split()],
            env=clean_environment(store, {}),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1] == (
        "ticketbook: The output cannot be written: No space left on device."
    )


def test_the_audit_log_is_searched_by_moments_of_any_time_zone(store: str) -> None:
    def found(*options: str) -> list[tuple[int, str]]:
        code, out, err = run("audit", "search", *options, "--json", store=store)
        assert (code, err) == (0, "")
        return [(entry["position"], entry["recordedAt"]) for entry in json.loads(out)]

    everything = found()
    _, told = everything[1]
    nepal = datetime.fromisoformat(told).astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert found("--since", nepal.isoformat()) == [one for one in everything if one[1] >= told]
    assert found("--before", told[:-1]) == [one for one in everything if one[1] < told]  # UTC


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("search --since 1761643800", "Write it like 2025-10-28T09:30:00Z"),
        ("search --since-position -5", "greater than or equal to 0"),
        ("search --before-position 99999999999999999999", "less than or equal to 9007199254740992"),
        ("at 0001-01-01T00:00:00+01:00", "beyond the years 1 to 9999"),
        ("at 20251028", "no position 20251028: the log ends at position 3 now"),
        ("diff 3 1", "FROM is later than TO"),
        ("search --text=", "--text is empty"),
    ],
)
def test_what_is_no_time_or_position_is_wrong_usage(store: str, command: str, said: str) -> None:
    code, out, err = run("audit", *command.split(), store=store, COLUMNS="200")
    assert (code, out) == (2, "")
    assert said in err


def test_what_callers_wrote_can_not_disturb_a_terminal(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/store.db"
    with open_service(load_settings({"TICKETBOOK_STORE": address})) as service:
        origin = Origin("ada", "\x1b[2J[red]\nno", "run-1", None, milliseconds(service.clock()))
        service.writer.execute(CreateTicket(f"{1:024x}", origin, ORG, "workforce_2", "[b]x", ()))
        assert service.projections["audit"].live_version.progress.wait(1, timeout=60)
    code, out, _ = run("audit", "search", store=address)
    assert code == 0
    assert len(out.splitlines()) == 2
    assert "'[b]x'" in out
    assert r"\x1b[2J[red]\nno" in out


def test_an_unknown_setting_is_refused_with_the_right_name() -> None:
    code, _, err = run("projections", "status", TICKETBOOK_STOER="sqlite:///x.db")
    assert code == 3
    assert "Did you mean TICKETBOOK_STORE?" in err


def test_a_bad_catalogue_is_refused_with_the_key_that_is_wrong(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[systems.x]\ndescription = "X"\nfeatures = 3\n')
    code, _, err = run("catalogue", "check", str(bad))
    assert code == 3
    assert f"{bad}, systems.x.features: 'features' must be a table" in err


def test_the_bundled_catalogue_is_good_and_shown() -> None:
    assert run("catalogue", "check")[0] == 0
    systems = {one["name"]: one for one in json.loads(run("catalogue", "show", "--json")[1])}
    assert set(systems) == {
        "revolution_counter_1",
        "workforce_2",
        "donear_3",
        "system_2",
        "system_3",
    }
    assert list(systems["system_2"]["features"]) == [
        *("create_item", "update_item", "delete_item", "get_items"),
        *("create_update_ticket", "get_tickets"),
    ]


def test_a_store_that_does_not_answer_is_said_so_in_time() -> None:
    unreachable = "mongodb://127.0.0.1:9/none?serverSelectionTimeoutMS=500"
    code, _, err = run("projections", "status", store=unreachable, TICKETBOOK_AUTH_SECRET="s" * 32)
    assert code == 4
    assert "MongoDB does not answer" in err


def test_a_file_that_is_no_store_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear all, " * 500)
    code, _, err = run("projections", "status", store=f"sqlite:///{file}")
    assert code == 4
    assert "not a SQLite database" in err
    assert file.read_text() == "Dear all, " * 500


def test_serving_beyond_loopback_without_a_secret_is_refused(tmp_path: Path) -> None:
    code, _, err = run("serve", "--host", "0.0.0.0", store=f"sqlite:///{tmp_path}/store.db")
    assert code == 3
    assert "TICKETBOOK_AUTH_SECRET" in err


def test_serving_on_a_taken_port_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, err = run("serve", "--port", port, store=f"sqlite:///{tmp_path}/other.db")
    assert code == 3
    assert "Choose another with --port" in err


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_service_gives_its_leases_up(tmp_path: Path, stop: signal.Signals) -> None:
    address = f"sqlite:///{tmp_path}/store.db"
    service = start_process("serve", "--port", "0", store=address)
    with open_stores(load_settings({"TICKETBOOK_STORE": address})) as stores:
        deadline = monotonic() + 20
        while not ((lease := stores.leases.current("audit@1")) and not lease.expired):
            assert monotonic() < deadline, "nobody ever led the projection"
            sleep(0.05)
        service.send_signal(stop)
        service.communicate(timeout=30)
        lease = stores.leases.current("audit@1")
    assert service.returncode == 0
    assert lease and lease.expired


def test_a_token_for_an_unknown_scope_suggests_the_right_one(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/store.db"
    code, out, err = run(
        *("token", "--sub", "ada", "--org", ORG, "--scope", "ticket:read"),
        store=store,
        TICKETBOOK_AUTH_SECRET="s" * 32,
    )
    assert (code, out) == (3, "")
    assert "tickets:read" in err


def test_a_file_of_a_newer_version_is_refused_and_left_alone(store: str) -> None:
    with sqlite3.connect(store.removeprefix("sqlite:///")) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    code, _, err = run("projections", "status", store=store)
    assert code == 4
    assert "schema 99" in err
    assert "Upgrade ticketbook" in err


def test_a_file_from_before_the_first_release_is_refused(store: str) -> None:
    with sqlite3.connect(store.removeprefix("sqlite:///")) as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    code, _, err = run("projections", "status", store=store)
    assert code == 4
    assert "schema 1" in err
    assert "new file" in err


@pytest.mark.parametrize("command", ["audit search", "projections status"])
def test_a_store_that_is_not_there_is_told_and_not_made(tmp_path: Path, command: str) -> None:
    code, out, err = run(*command.split(), store=f"sqlite:///{tmp_path}/typo.db")
    assert (code, out) == (3, "")
    assert "There is no store at" in err
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_id_is_wrong_usage_and_not_an_empty_answer(store: str) -> None:
    for option in ("--org", "--ticket"):
        code, out, err = run("audit", "search", option, "nonsense", store=store)
        assert (code, out) == (2, "")
        assert "24 lower-case hexadecimal digits" in " ".join(err.split())


@pytest.mark.parametrize("hours", ["1e30", "inf", "nan", "8761", "0"])
def test_a_token_is_good_for_a_year_at_most(tmp_path: Path, hours: str) -> None:
    asked = ("token", "--sub", "ada", "--org", ORG, "--scope", "tickets:read", "--hours", hours)
    code, out, err = run(*asked, store=f"sqlite:///{tmp_path}/store.db")
    assert (code, out) == (2, "")
    assert "Invalid value for '--hours'" in err


def test_a_question_to_the_past_is_in_the_journal_under_the_name_it_has_over_http(
    store: str,
) -> None:
    for question in (("at", "3"), ("grants", "get_all", "2025-10-28"), ("diff", "0", "3")):
        assert run("audit", *question, store=store)[0] == 0
    noted = json.loads(run("audit", "reads", "--json", store=store)[1])
    assert [entry["action"] for entry in noted] == [
        "journal.read",
        "audit.compared",
        "grants.asked",
        "tickets.asked_as_of",
    ]
