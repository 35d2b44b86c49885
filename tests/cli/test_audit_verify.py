"""What auditors compare and keep: entries, signed heads, keys."""

import json
import sqlite3
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from api.export.heads import head_text, read_head, signed_head
from api.use_cases.service import Service
from domain.errors import ConfigurationError
from infrastructure.configuration.settings import load_settings
from infrastructure.keys.signing_key import read_public_key, signing_key_of
from projections.versions.verification import verify
from tests.support.command import run
from tests.support.small_log import SECRET, TICKETS, small_log


@pytest.fixture
def service(store_url: str) -> Iterator[Service]:
    with small_log(store_url) as opened:
        yield opened


def test_every_part_of_an_audit_entry_is_compared(service: Service, store_url: str) -> None:
    live = service.projections["audit"].live_version
    number = service.projections["audit"].versions.registry().live
    if store_url.startswith("sqlite"):
        with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
            table = f"audit_{number}"
            connection.execute(f"UPDATE {table} SET actor = 'eve' WHERE position = 5")
            connection.execute(f"UPDATE {table} SET hash = zeroblob(32) WHERE position = 6")
            connection.execute(f"DELETE FROM {table} WHERE position = 7")
            connection.commit()
    else:
        rows = service.projections["audit"].versions.view(number)._rows
        rows.update_one({"_id": 5}, {"$set": {"actor": "eve"}})
        rows.update_one({"_id": 6}, {"$set": {"hash": bytes(32)}})
        rows.delete_one({"_id": 7})
    found = {(one.key, one.kind) for one in verify(live.projected).mismatches}
    assert found == {(5, "changed"), (6, "changed"), (7, "missing")}


@pytest.mark.parametrize("store", ["sqlite"])
def test_an_operator_signs_keeps_and_verifies(
    service: Service, store_url: str, tmp_path: Path
) -> None:
    head, public = tmp_path / "head.json", tmp_path / "ticketbook.pub"
    code, out, _ = run("audit", "head", "--json", store=store_url)
    head.write_text(out)
    assert (code, json.loads(out)["position"]) == (0, 2 * TICKETS)
    public.write_text(run("audit", "key", store=store_url)[1])
    asked = ("audit", "verify", "--head", str(head), "--key", str(public))
    code, out, err = run(*asked, store=store_url)
    assert (code, out) == (0, f"position 40 hash {json.loads(head.read_text())['hash']}\n")
    assert "40 audit entries" in err

    head.write_text(head.read_text().replace('"position": 40', '"position": 39'))
    code, _, err = run(*asked, store=store_url)
    assert (code, "no head that was signed with this key" in err) == (3, True)

    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE events SET state = '{}' WHERE position = 11")
        connection.commit()
    code, _, err = run("audit", "verify", store=store_url)
    assert (code, "Position 11:" in err) == (1, True)


def test_openssl_agrees_with_the_signature(tmp_path: Path) -> None:
    """Anybody can check a head: the text and the key are plain."""
    store = f"sqlite:///{tmp_path}/store.db"
    key = signing_key_of(load_settings({"TICKETBOOK_STORE": store}))
    text = head_text(3, "ab" * 32, "2025-10-28T09:30:00.123Z")
    (tmp_path / "text").write_text(text)
    (tmp_path / "signature").write_bytes(b64decode(key.sign(text)))
    (tmp_path / "key.pub").write_text(key.public.pem)
    checking = "openssl pkeyutl -verify -pubin -inkey key.pub -rawin -in text -sigfile signature"
    done = subprocess.run(checking.split(), cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "Signature Verified Successfully\n")
    assert read_public_key(tmp_path / "key.pub").signed(text, key.sign(text))
    assert not key.public.signed(text + " ", key.sign(text))


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = load_settings({"TICKETBOOK_STORE": f"sqlite:///{tmp_path}/store.db"})
    first, again = signing_key_of(settings), signing_key_of(settings)
    assert first.public.pem == again.public.pem
    made = tmp_path / "store.db.signing.pem"
    assert made.stat().st_mode & 0o777 == 0o600
    made.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        signing_key_of(settings)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (None, "Set TICKETBOOK_SIGNING_KEY"),
        ("gone.pem", "cannot be read"),
        ("public.pem", "does not hold an Ed25519 private key"),
    ],
)
def test_without_a_usable_key_it_is_said_what_to_do(
    tmp_path: Path, key: str | None, said: str
) -> None:
    sqlite = load_settings({"TICKETBOOK_STORE": f"sqlite:///{tmp_path}/store.db"})
    (tmp_path / "public.pem").touch(mode=0o600)
    (tmp_path / "public.pem").write_text(signing_key_of(sqlite).public.pem)
    environment = {"TICKETBOOK_STORE": "mongodb://db/tickets", "TICKETBOOK_AUTH_SECRET": SECRET}
    if key:
        environment["TICKETBOOK_SIGNING_KEY"] = str(tmp_path / key)
    with pytest.raises(ConfigurationError, match=said) as refused:
        signing_key_of(load_settings(environment))
    assert "openssl genpkey" in str(refused.value)
    with pytest.raises(ConfigurationError, match="ticketbook audit key"):
        read_public_key(tmp_path / "store.db.signing.pem")


@pytest.mark.parametrize("store", ["sqlite"])
def test_a_head_signed_by_another_key_is_none(service: Service, tmp_path: Path) -> None:
    other = signing_key_of(load_settings({"TICKETBOOK_STORE": f"sqlite:///{tmp_path}/other.db"}))
    mine = signing_key_of(service.settings)
    file = tmp_path / "head.json"
    file.write_text(json.dumps(signed_head(service.log.ending(), service.clock(), mine)))
    assert read_head(file, mine.public) == service.log.ending()
    with pytest.raises(ConfigurationError, match="public key of that time") as refused:
        read_head(file, other.public)
    assert f"it names {mine.public.name}, this is {other.public.name}" in str(refused.value)


def test_events_are_found_by_their_positions_alone(service: Service) -> None:
    asked = [1, 2, 17, 18, 19, 39, 40, 41, 99]
    assert list(service.log.at(asked)) == [1, 2, 17, 18, 19, 39, 40]
    assert service.log.at(asked) == {
        position: stored
        for position, stored in service.log.between(0, 40).items()
        if position in asked
    }
    assert service.log.at([]) == {}
