"""Where a migration stands, what it repaired, and records that are completed or dismissed here."""

import json
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import ObjectId

from api.composition import open_service
from infrastructure.configuration.settings import load_settings
from tests.support.command import run as run_anywhere
from tests.support.migrating import DIRTY, DUMPS, migrate, migrated
from tests.support.old_records import CLEAN, FOREMAN, without
from tests.support.server import SECRET, environment

SYSTEM = "revolution_counter_1"


@pytest.fixture
def target(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new.db'}"


def dump(folder: Path, *records: dict[str, Any]) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "ticket_1.bson").write_bytes(b"".join(map(bson.encode, records)))
    return str(folder)


def lines(*options: str, store: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and lines of `verify`, without those about references."""
    code, out, _ = migrate("verify", *options, store=store)
    parsed = [json.loads(line) for line in out.splitlines()]
    return code, [line for line in parsed if "user" not in line]


def test_every_repair_and_every_feature_left_out_can_be_read_by_kind_and_by_ticket(
    target: str,
) -> None:
    done = migrated("run", "--source", str(DUMPS), "--no-backup", store=target)
    reported = migrated("report", "--all", store=target)
    assert (reported["imported"], reported["repaired"]) == (1194, 42)
    assert reported["repairs"] == done["repairs"]
    assert set(reported["unknownFeatures"]) >= {"get_oee", "print_labels"}
    assert reported["quarantined"] == done["reasons"]
    by_id = {ticket["ticketId"]: ticket for ticket in reported["tickets"]}
    assert all(by_id[name]["repairs"] == ["orgId was text"] for name in DIRTY["orgId as string"])

    (one, *_) = DIRTY["orgId as string"]
    alone = migrated("report", "--ticket", one, store=target)
    assert alone["tickets"] == [by_id[one]]
    code, out, err = migrate("report", "--ticket", one, store=target)
    assert code == 0
    assert one in out and "orgId was text" in out and "1: orgId was text" in err

    with open_service(load_settings(environment(target))) as service:
        assert service.audit.live_version.progress.wait(done["position"], 60)
    search = ("audit", "search", "--ticket", one, "--json")
    code, out, _ = run_anywhere(*search, store=target, TICKETBOOK_AUTH_SECRET=SECRET)
    assert code == 0
    (entry,) = json.loads(out)
    assert (entry["repairs"], entry["unknownFeatures"]) == (["orgId was text"], [])

    code, listed = lines("--source", str(DUMPS), "--repairs", store=target)
    assert code == 0
    repaired = {line["ticket"]: line["explained"] for line in listed if line["kind"] == "repaired"}
    assert repaired.keys() == by_id.keys()
    assert repaired[one] == "orgId was text"
    assert lines("--source", str(DUMPS), store=target) == (0, [])


def test_status_says_which_step_is_next_and_when_the_others_were_done(
    target: str, tmp_path: Path
) -> None:
    old = dump(tmp_path / "old", CLEAN | {"system": SYSTEM})
    source = ("--source", old)

    def status() -> dict[str, Any]:
        stands: dict[str, Any] = migrated("status", *source, store=target)
        return stands

    assert status()["next"] == "backup"
    assert not (tmp_path / "new.db").exists()
    migrated("backup", *source, "--to", str(tmp_path / "backup"), store=target)
    stands = status()
    assert (stands["next"], stands["backup"]["records"]) == ("run", 1)
    assert stands["backup"]["folder"] == str(tmp_path / "backup")
    migrated("run", *source, store=target)
    assert (status()["next"], status()["verified"]) == ("verify", None)
    assert migrate("verify", *source, store=target)[0] == 0
    stands = status()
    assert (stands["next"], stands["verified"]["position"], stands["retired"]) == (
        "retire",
        1,
        False,
    )
    code, out, err = migrate("status", *source, store=target)
    assert (code, "migrate retire" in err) == (0, True)
    assert stands["verified"]["at"] in out

    dump(tmp_path / "old", CLEAN | {"system": SYSTEM, "name": "Chief"})
    migrated("run", *source, store=target)
    assert migrate("verify", *source, store=target)[0] == 0
    assert status()["next"] == "backup"  # retire would refuse: other content than was verified


def test_a_record_without_a_name_is_completed_here_and_migrating_again_does_not_undo_it(
    target: str, tmp_path: Path
) -> None:
    source = dump(tmp_path / "old", without("name", system=SYSTEM))
    migrated("run", "--source", source, "--no-backup", store=target)
    retry = ("quarantine", "retry", str(FOREMAN), "--name")
    for name in ("", "x" * 201, "a\nb"):
        assert migrate(*retry, name, store=target)[0] == 2
    assert migrate("quarantine", "retry", "--name", "Chief", store=target)[0] == 2
    code, _, err = migrate(*retry, "Chief", "--dry-run", store=target)
    assert (code, "would become a ticket" in err) == (0, True)
    assert len(migrated("quarantine", "list", store=target)) == 1
    assert migrated(*retry, "Chief", store=target) == {"tickets": [str(FOREMAN)], "quarantined": []}
    assert migrated("quarantine", "list", store=target) == []

    again = migrated("run", "--source", source, "--no-backup", store=target)
    assert (again["already"], again["quarantined"]) == (1, 0)
    code, listed = lines("--source", source, store=target)
    assert (code, [line["kind"] for line in listed]) == (0, ["completed"])
    assert "can be no ticket (name), and was completed here" in listed[0]["explained"]
    (ticket,) = migrated("report", store=target)["tickets"]
    assert "name was not usable: given here" in ticket["repairs"]


def test_a_record_with_another_fault_is_not_completed_by_a_name(
    target: str, tmp_path: Path
) -> None:
    source = dump(tmp_path / "old", without("name", "orgId"))
    migrated("run", "--source", source, "--no-backup", store=target)
    code, _, err = migrate("quarantine", "retry", str(FOREMAN), "--name", "Chief", store=target)
    assert (code, "it has no organisation" in err) == (1, True)
    assert len(migrated("quarantine", "list", store=target)) == 1


def test_a_dismissed_record_stays_whole_is_explained_and_is_journaled(
    target: str, tmp_path: Path
) -> None:
    other = without("name") | {"_id": ObjectId()}
    source = dump(tmp_path / "old", without("name"), other)
    migrated("run", "--source", source, "--no-backup", store=target)
    dismiss = ("quarantine", "dismiss", str(FOREMAN), "--reason")
    for reason in (" ", "x" * 1_001):
        assert migrate(*dismiss, reason, store=target)[0] == 2
    assert migrate(*dismiss, "a test", "--dry-run", store=target)[0] == 0
    assert migrate(*dismiss, "a test", store=target)[0] == 0

    ids = [record["id"] for record in migrated("quarantine", "list", store=target)]
    assert ids == [str(other["_id"])]
    (dismissed,) = migrated("quarantine", "list", "--dismissed", store=target)
    assert (dismissed["id"], dismissed["dismissedBecause"]) == (str(FOREMAN), "a test")
    _, out, _ = migrate("quarantine", "retry", "--json", store=target)
    assert json.loads(out)["quarantined"] == ids
    code, listed = lines("--source", source, store=target)
    assert (code, [(line["kind"], line["ticket"]) for line in listed]) == (
        0,
        [("dismissed", str(FOREMAN))],
    )
    assert "a test" in listed[0]["explained"]
    code, out, _ = run_anywhere(
        "audit", "reads", "--json", store=target, TICKETBOOK_AUTH_SECRET=SECRET
    )
    (entry,) = [e for e in json.loads(out) if e["action"] == "migration.record_dismissed"]
    assert entry["details"]["reason"] == "a test"
