"""One rule for every file with a secret; and a store remembers the key that it was signed with."""

import logging
from pathlib import Path

import pytest

from api.composition import open_service
from api.use_cases.signing import signing_key
from domain.errors import ConfigurationError
from infrastructure.configuration.settings import load_settings
from infrastructure.keys.private_file import read_or_make
from infrastructure.keys.signing_key import signing_key_of
from tests.support.command import run

TOKEN = ("token", "--sub", "ada", "--org", "*", "--scope", "audit:read")


def settings(folder: Path, **others: str) -> dict[str, str]:
    return {"TICKETBOOK_STORE": f"sqlite:///{folder / 'store.db'}", **others}


def made_key(path: Path) -> Path:
    """A new key in a file of its owner alone."""
    signing_key_of(load_settings(settings(path.parent)))
    (path.parent / "store.db.signing.pem").rename(path)
    return path


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_key_that_others_may_read_is_refused_whoever_made_it(tmp_path: Path, mode: int) -> None:
    key = made_key(tmp_path / "mine.pem")
    configured = load_settings(settings(tmp_path, TICKETBOOK_SIGNING_KEY=str(key)))
    assert signing_key_of(configured).public
    key.chmod(mode)

    for read in (lambda: signing_key_of(configured), lambda: read_or_make(key, str)):
        with pytest.raises(ConfigurationError, match=f"chmod 600 {key}"):
            read()


def test_junk_is_named_as_junk(tmp_path: Path) -> None:
    key = tmp_path / "mine.pem"
    key.touch(mode=0o600)
    key.write_bytes(b"\xff junk")
    configured = load_settings(settings(tmp_path, TICKETBOOK_SIGNING_KEY=str(key)))

    with pytest.raises(ConfigurationError, match="does not hold an Ed25519 private key"):
        signing_key_of(configured)


def test_a_store_says_when_its_key_is_another_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_service(load_settings(settings(tmp_path))) as service:
        first = signing_key(service).public.name
        assert signing_key(service).public.name == first
    key = made_key_elsewhere(tmp_path / "other")
    other = load_settings(settings(tmp_path, TICKETBOOK_SIGNING_KEY=str(key)))
    with open_service(other) as service, caplog.at_level(logging.WARNING):
        second = signing_key(service).public.name
        signing_key(service)
    swaps = [r.getMessage() for r in caplog.records if "signing_key.changed" in r.getMessage()]
    assert len(swaps) == 1
    assert f"before={first} now={second}" in swaps[0]


def made_key_elsewhere(folder: Path) -> Path:
    folder.mkdir()
    return made_key(folder / "mine.pem")


def test_a_restored_store_without_its_key_makes_no_new_one_in_silence(tmp_path: Path) -> None:
    with open_service(load_settings(settings(tmp_path))) as service:
        name = signing_key(service).public.name
    made = tmp_path / "store.db.signing.pem"
    made.unlink()
    with (
        open_service(load_settings(settings(tmp_path))) as service,
        pytest.raises(ConfigurationError, match="was signed with the key") as refusal,
    ):
        signing_key(service)
    assert name in str(refusal.value) and str(made) in str(refusal.value)
    assert not made.exists()
    code, _, err = run("audit", "head", store=f"sqlite:///{tmp_path / 'store.db'}")
    assert (code, str(made) in err) == (3, True)


def test_a_token_is_refused_where_there_is_neither_a_secret_nor_a_store(tmp_path: Path) -> None:
    path = tmp_path / "empty" / "store.db"
    code, out, err = run(*TOKEN, store=f"sqlite:///{path}")

    assert (code, out) == (3, "")
    assert "neither TICKETBOOK_AUTH_SECRET nor a store" in err
    assert not path.parent.exists()
