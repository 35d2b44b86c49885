"""Backing the old system up."""

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import bson
import pytest
from pymongo import MongoClient
from pymongo.database import Database

from infrastructure.mongodb.client import Document
from tests.support.migrating import DUMPS, as_json_lines, migrate, migrated, old_database
from tests.support.old_system import content


@pytest.fixture
def target(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/new.db"


@pytest.fixture
def old(
    mongodb_client: MongoClient[Document], mongodb_uri: str
) -> Iterator[tuple[Database[Document], str]]:
    with old_database(mongodb_client, mongodb_uri) as opened:
        yield opened


def test_a_backup_of_a_database_is_its_bytes_with_a_manifest_that_says_so(
    old: tuple[Database[Document], str], target: str, tmp_path: Path
) -> None:
    database, source = old
    database["ticket_1"].create_index("orgId")
    made = migrated("backup", "--source", source, "--to", f"{tmp_path}/kept", store=target)
    manifest = json.loads((tmp_path / "kept/manifest.json").read_text())
    assert made == manifest
    for collection, records in (("ticket_1", 1200), ("users", 3000)):
        dump = (tmp_path / f"kept/{collection}.bson").read_bytes()
        assert dump == content(database, collection) == (DUMPS / f"{collection}.bson").read_bytes()
        assert manifest["dumps"][collection]["records"] == records
        assert manifest["dumps"][collection]["sha256"] == sha256(dump).hexdigest()
    assert "orgId" in manifest["dumps"]["ticket_1"]["shape"]


@pytest.mark.parametrize("json_lines", [False, True])
def test_dumps_are_backed_up_too(json_lines: bool, target: str, tmp_path: Path) -> None:
    source = as_json_lines(tmp_path) if json_lines else DUMPS
    migrated("backup", "--source", str(source), "--to", f"{tmp_path}/kept", store=target)
    for collection in ("ticket_1", "users"):
        dump = (tmp_path / f"kept/{collection}.bson").read_bytes()
        expected = (DUMPS / f"{collection}.bson").read_bytes()
        assert bson.decode_all(dump) == bson.decode_all(expected)
        assert json_lines or dump == expected


def test_a_backup_is_for_its_owner_alone(target: str, tmp_path: Path) -> None:
    migrated("backup", "--source", str(DUMPS), "--to", f"{tmp_path}/kept", store=target)
    kept = tmp_path / "kept"
    assert [oct(path.stat().st_mode)[-2:] for path in (kept, *kept.iterdir())] == ["00"] * 4


def test_a_backup_is_never_written_over_anything(target: str, tmp_path: Path) -> None:
    arguments = ("backup", "--source", str(DUMPS), "--to", f"{tmp_path}/kept")
    assert migrate(*arguments, store=target)[0] == 0
    for to in (tmp_path / "kept", tmp_path, DUMPS):
        code, _, err = migrate("backup", "--source", str(DUMPS), "--to", str(to), store=target)
        assert code == 4
        assert "holds something already" in err


def test_what_a_killed_backup_left_is_written_again(target: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "ticket_1.bson").write_bytes(b"half")
    migrated("backup", "--source", str(DUMPS), "--to", str(kept), store=target)
    assert (kept / "ticket_1.bson").read_bytes() == (DUMPS / "ticket_1.bson").read_bytes()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/new.db"
    arguments = ("backup", "--source", str(DUMPS), "--to", f"{tmp_path}/again", "--dry-run")
    for backed_up in (False, True):  # as the very first command, and later
        if backed_up:
            migrated("backup", "--source", str(DUMPS), "--to", f"{tmp_path}/kept", store=target)
        code, _, err = migrate(*arguments, store=target)
        assert code == 0
        assert "Would dump 1,200 of ticket_1" in err and "Would dump 3,000 of users" in err
        assert not (tmp_path / "again").exists()
        assert (tmp_path / "new.db").exists() is backed_up


def damaged(folder: Path, case: str) -> str:
    """A source that is no good, and what is said of it."""
    whole = (DUMPS / "ticket_1.bson").read_bytes()
    if case == "nothing":
        return "no ticket_1.bson"
    (folder / "ticket_1.bson").write_bytes(
        {"empty": b"", "cut short": whole[:200_000], "something else": os.urandom(5_000)}[case]
    )
    return "is empty" if case == "empty" else "cut short or damaged"


@pytest.mark.parametrize("case", ["nothing", "empty", "cut short", "something else"])
def test_a_source_that_is_no_good_gets_a_clear_error(
    case: str, target: str, tmp_path: Path
) -> None:
    folder = tmp_path / "dumps"
    folder.mkdir()
    said = damaged(folder, case)
    to = f"{tmp_path}/kept"
    code, out, err = migrate("backup", "--source", str(folder), "--to", to, store=target)
    assert (code, out) == (4, "")
    assert said in err and "Traceback" not in err
