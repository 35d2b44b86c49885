"""Files that somebody else wrote, and settings that a command does not need."""

from pathlib import Path
from typing import Final

import bson
import pytest

from api.composition import open_stores
from infrastructure.configuration.settings import load_settings
from tests.support.command import run
from tests.support.old_records import CLEAN

FILES: Final = {
    "deep": b"[" * 100_000,
    "deep object": b'{"position":' * 100_000,
    "not UTF-8": b'{"position": "\xff"}',
    "UTF-16": '{"position": 1}'.encode("utf-16"),
    "a key twice": b'{"position": 1, "position": 2}',
    "half": b'{"position": 1',
    "empty": b"",
    "a list": b"[1]",
    "bytes": bytes(range(256)),
    "a large number": b'{"position": ' + b"9" * 5_000 + b"}",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    address = f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db"
    with open_stores(load_settings({"TICKETBOOK_STORE": address})):
        return address


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(FILES[request.param])
    return path


def test_a_head_that_cannot_be_read_is_a_sentence_and_exit_code_3(store: str, file: Path) -> None:
    code, out, err = run("audit", "verify", "--head", str(file), store=store)
    assert (code, out) == (3, "")
    assert f"ticketbook: {file} holds no head" in err


def test_an_export_that_cannot_be_read_is_broken(store: str, file: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text(run("audit", "key", store=store)[1])
    command = ("audit", "verify", "--export", str(file), "--key", str(key))
    code, out, err = run(*command, store=store)
    assert (code, out) == (1, "")
    assert "ticketbook: Line 1" in err
    head = tmp_path / "head"
    head.write_bytes(b'{"head": ' + file.read_bytes() + b"}\n")
    code, _, err = run("audit", "verify", "--export", str(head), "--key", str(key), store=store)
    assert (code, "ticketbook: Line" in err) == (1, True)


def test_a_key_or_a_catalogue_that_is_none_is_exit_code_3(store: str, file: Path) -> None:
    for command in (
        ("audit", "verify", "--export", str(file), "--key", str(file)),
        ("catalogue", "check", str(file)),
    ):
        code, out, err = run(*command, store=store)
        if file.read_bytes():  # an empty file is an empty catalogue
            assert (code, out) == (3, ""), command
        assert err.startswith("ticketbook: ") or not code


def test_lines_of_an_old_system_that_cannot_be_read_are_exit_code_4(
    store: str, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "ticket_1.json").write_bytes(file.read_bytes())
    (tmp_path / "users.json").write_bytes(file.read_bytes())
    code, out, err = run("migrate", "plan", "--source", str(tmp_path), store=store)
    assert code in (0, 4)
    assert (code == 0) == bool(out)
    assert "Traceback" not in err and "unforeseen" not in err


@pytest.mark.parametrize("source", ["usr:pass@host", "usr:pa/ss@host/db", "mongo://usr:pass@h/db"])
def test_an_address_without_its_beginning_is_not_repeated(store: str, source: str) -> None:
    code, _, err = run("migrate", "plan", "--source", source, store=store)
    assert code == 4
    assert "pa" not in err.replace("path", "")


@pytest.mark.parametrize(
    "command",
    ["audit search", "migrate run --no-backup --source OLD", "projections rebuild tickets"],
)
def test_a_command_asks_for_no_setting_about_callers(
    mongodb_url: str, tmp_path: Path, command: str
) -> None:
    with open_stores(load_settings({"TICKETBOOK_STORE": mongodb_url})):
        pass
    (tmp_path / "ticket_1.bson").write_bytes(bson.encode(CLEAN))
    words = [str(tmp_path) if word == "OLD" else word for word in command.split()]
    assert run(*words, store=mongodb_url)[0] == 0


def test_serving_on_mongodb_still_needs_to_know_how_callers_are_checked(mongodb_url: str) -> None:
    code, _, err = run("serve", "--port", "0", store=mongodb_url)
    assert (code, "Nothing says how callers are checked" in err) == (3, True)


def test_a_command_makes_no_secret_beside_a_store(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/store.db"
    with open_stores(load_settings({"TICKETBOOK_STORE": address})):
        pass
    assert run("audit", "search", store=address, TICKETBOOK_LEGACY_SUNSET="2030-01-01")[0] == 0
    assert not list(tmp_path.glob("*.secret"))
