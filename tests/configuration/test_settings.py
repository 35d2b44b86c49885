"""Settings: what may be set, how a mistake is explained, and the secret made when none is."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from domain.errors import ConfigurationError
from infrastructure.configuration.addresses import MongoDBStore, SQLiteStore
from infrastructure.configuration.settings import (
    BUNDLED,
    SETTINGS,
    OpenIdConnect,
    Settings,
    SharedSecret,
    load_settings,
)
from infrastructure.keys.secret_file import auth_of, read_or_make_secret

SECRET = "correct-horse-battery-staple-0123456789"
MONGODB = "mongodb://writer:pass%40word@db1:27017,db2/tickets?replicaSet=rs0"
ISSUER = {
    "TICKETBOOK_OIDC_ISSUER": "https://id.example.org/realm",
    "TICKETBOOK_OIDC_AUDIENCE": "ticketbook-api",
}


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ)
    return str(caught.value)


def test_with_nothing_set_the_store_is_a_sqlite_file_and_nobody_is_configured() -> None:
    assert load_settings({"PATH": "/bin", "HOME": "/root"}) == Settings(
        store=SQLiteStore(Path("var/ticketbook.db")),
        catalogue=BUNDLED,
        auth=None,
        cors_origins=(),
        signing_key=None,
        legacy_jwt_secret=None,
        legacy_users=None,
        legacy_sunset=date(2027, 12, 31),
        legacy_origins=(),
    )


def test_every_setting_can_be_set() -> None:
    settings = load_settings(
        {
            "TICKETBOOK_STORE": MONGODB,
            "TICKETBOOK_CATALOGUE": "/etc/ticketbook.toml",
            "TICKETBOOK_AUTH_SECRET": SECRET,
            "TICKETBOOK_LEGACY_JWT_SECRET": "old",
            "TICKETBOOK_LEGACY_USERS": "mongodb://old/backend",
            "TICKETBOOK_LEGACY_SUNSET": "2028-02-29",
            "TICKETBOOK_LEGACY_ORIGINS": "https://app.example.org, http://localhost:3000",
        }
    )
    assert settings.store == MongoDBStore(MONGODB, "tickets")
    assert settings.catalogue == Path("/etc/ticketbook.toml")
    assert settings.auth == SharedSecret(SECRET)
    assert settings.legacy_jwt_secret == "old"
    assert settings.legacy_users == MongoDBStore("mongodb://old/backend", "backend")
    assert settings.legacy_sunset == date(2028, 2, 29)
    assert settings.legacy_origins == ("https://app.example.org", "http://localhost:3000")
    assert load_settings(ISSUER).auth == OpenIdConnect(
        ISSUER["TICKETBOOK_OIDC_ISSUER"], ISSUER["TICKETBOOK_OIDC_AUDIENCE"]
    )


def test_claims_of_an_issuer_have_the_names_that_settings_say() -> None:
    auth = load_settings(
        ISSUER
        | {
            "TICKETBOOK_OIDC_ORG_CLAIM": "https://example.org/org",
            "TICKETBOOK_OIDC_SCOPE_CLAIM": "scp  roles",
        }
    ).auth
    assert isinstance(auth, OpenIdConnect)
    assert (auth.org_claim, auth.scope_claims) == ("https://example.org/org", ("scp", "roles"))


@pytest.mark.parametrize("name", ["TICKETBOOK_OIDC_ORG_CLAIM", "TICKETBOOK_OIDC_SCOPE_CLAIM"])
def test_a_claim_of_an_issuer_is_refused_where_there_is_no_issuer(name: str) -> None:
    for others in ({}, {"TICKETBOOK_AUTH_SECRET": SECRET}):
        assert f"{name} names a claim of an issuer's tokens" in refusal({name: "x", **others})


def test_every_setting_has_a_name_a_type_and_one_sentence() -> None:
    for setting in SETTINGS:
        assert re.fullmatch("TICKETBOOK_[A-Z_]+", setting.name)
        assert setting.type
        assert setting.meaning.endswith(".")
        assert "\n" not in setting.meaning


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("TICKETBOOK_STOR", "TICKETBOOK_STORE"),
        ("TICKETBOOK_SECRET", "TICKETBOOK_AUTH_SECRET"),
        ("TICKETBOOK_CATALOG", "TICKETBOOK_CATALOGUE"),
        ("Ticketbook_Store", "TICKETBOOK_STORE"),
    ],
)
def test_an_unknown_setting_is_refused_and_the_right_one_suggested(wrong: str, right: str) -> None:
    assert f"Did you mean {right}?" in refusal({wrong: "x"})


def test_an_unknown_setting_like_no_other_is_refused_with_the_whole_list() -> None:
    message = refusal({"TICKETBOOK_XYZZY": "x"})
    assert all(setting.name in message for setting in SETTINGS)


@pytest.mark.parametrize("name", [setting.name for setting in SETTINGS])
def test_a_setting_that_is_set_but_empty_is_refused(name: str) -> None:
    assert f"{name} is set but empty" in refusal({name: " "})


def test_a_setting_that_is_not_utf8_is_refused() -> None:
    assert "not UTF-8" in refusal({"TICKETBOOK_AUTH_SECRET": "caf\udce9" * 10})


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("sqlite:///var/a.db", "var/a.db"),
        ("sqlite:////srv/a b.db", "/srv/a b.db"),
        ("sqlite:///a%20b.db", "a%20b.db"),
    ],
)
def test_a_sqlite_address_names_its_file_as_written(address: str, path: str) -> None:
    assert load_settings({"TICKETBOOK_STORE": address}).store == SQLiteStore(Path(path))


@pytest.mark.parametrize(
    ("address", "database"),
    [
        ("mongodb://h/db", "db"),
        ("mongodb://a:1,b:2,[::1]:3/db?replicaSet=rs0&w=1", "db"),
        ("mongodb://h/db?maxPoolSize=2", "db"),
        ("mongodb://h/db?maxPoolSize=0", "db"),
        ("mongodb+srv://u:p@cluster.example.org/my-db", "my-db"),
    ],
)
def test_a_mongodb_address_names_its_database(address: str, database: str) -> None:
    assert load_settings({"TICKETBOOK_STORE": address}).store == MongoDBStore(address, database)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("postgres://h/db", "Write sqlite:///PATH"),
        ("var/ticketbook.db", "Write sqlite:///PATH"),
        ("sqlite://var/a.db", "three slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:///var/", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///a.db?mode=ro", "takes no options"),
        ("mongodb://h", "names no database"),
        ("mongodb://h/?replicaSet=rs0", "names no database"),
        ("mongodb+srv://h.example.org", "names no database"),
        ("mongodb://h/a.b", "does not allow"),
        ("mongodb://h/" + "a" * 64, "up to 63"),
        ("mongodb:///db", "cannot be read"),
        ("mongodb+srv:///db", "cannot be read"),
        ("mongodb://h:port/db", "cannot be read"),
        ("mongodb://h/db?replicaSte=rs0", "has an option"),
        (
            "mongodb://h/db?replicaSet=rs0&maxPoolSize=1",
            "maxPoolSize=1, and a service needs at least 2",
        ),
        ("mongodb+srv://h/db?MAXPOOLSIZE=1", "MAXPOOLSIZE=1, and a service needs at least 2"),
    ],
)
def test_a_store_address_that_can_not_be_meant_is_refused(address: str, says: str) -> None:
    message = refusal({"TICKETBOOK_STORE": address})
    assert message.startswith("TICKETBOOK_STORE ")
    assert says in message


@pytest.mark.parametrize("scheme", ["mongodb", "mongodb+srv"])
@pytest.mark.parametrize(
    "password", ["hun/ter2", "hun@ter2:x", "hun%zzter2", "hun[ter2", "hunter2"]
)
def test_a_refused_address_never_shows_its_password(scheme: str, password: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(
            {"TICKETBOOK_STORE": f"{scheme}://user:{password}@host.example.org/d?x=1&b.c"}
        )
        load_settings({"TICKETBOOK_STORE": f"{scheme}://user:{password}@host.example.org"})
    assert "hun" not in str(caught.value)
    assert "ter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_secret_appears_in_the_settings_shown() -> None:
    settings = load_settings(
        {
            "TICKETBOOK_STORE": MONGODB,
            "TICKETBOOK_AUTH_SECRET": SECRET,
            "TICKETBOOK_LEGACY_JWT_SECRET": "old-secret",
        }
    )
    shown = repr(settings) + str(settings)
    assert "tickets" in shown
    assert not any(secret in shown for secret in (SECRET, "old-secret", "pass%40word"))


@pytest.mark.parametrize("have", ISSUER)
def test_an_issuer_without_audience_or_the_other_way_round_is_refused(have: str) -> None:
    (lack,) = ISSUER.keys() - {have}
    assert f"{have} is set without {lack}" in refusal({have: ISSUER[have]})


@pytest.mark.parametrize("name", ISSUER)
def test_a_secret_together_with_an_issuer_is_refused_as_contradictory(name: str) -> None:
    message = refusal({"TICKETBOOK_AUTH_SECRET": SECRET, name: ISSUER[name]})
    assert "contradict" in message
    assert name in message


def test_a_secret_is_at_least_32_bytes_long() -> None:
    assert "32 bytes" in refusal({"TICKETBOOK_AUTH_SECRET": "x" * 31})
    assert load_settings({"TICKETBOOK_AUTH_SECRET": "x" * 32}).auth == SharedSecret("x" * 32)


@pytest.mark.parametrize(
    "issuer",
    ["id.example.org", "ftp://id.example.org", "https://", "https://h:x/", "https://h/?a=b"],
)
def test_an_issuer_that_is_no_web_address_is_refused(issuer: str) -> None:
    assert "is not a web address" in refusal(ISSUER | {"TICKETBOOK_OIDC_ISSUER": issuer})


def test_an_issuer_is_asked_over_https_unless_it_is_this_machine() -> None:
    assert "https://" in refusal(ISSUER | {"TICKETBOOK_OIDC_ISSUER": "http://id.example.org"})
    load_settings(ISSUER | {"TICKETBOOK_OIDC_ISSUER": "http://127.0.0.1:8080/realm"})
    load_settings(ISSUER | {"TICKETBOOK_OIDC_ISSUER": "http://[::1]:8080"})


def test_legacy_users_are_in_the_store_unless_told_otherwise() -> None:
    settings = load_settings({"TICKETBOOK_STORE": MONGODB, "TICKETBOOK_LEGACY_JWT_SECRET": "old"})
    assert settings.legacy_users == settings.store


def test_a_day_that_is_none_is_refused() -> None:
    said = refusal({"TICKETBOOK_LEGACY_SUNSET": "31.12.2027"})
    assert said == "TICKETBOOK_LEGACY_SUNSET is not a date. Write it as 2027-12-31."


@pytest.mark.parametrize(
    "origin",
    ["*", "https://*.example.org", "app.example.org", "https://app.example.org/", "http://a:b"],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    said = refusal({"TICKETBOOK_LEGACY_ORIGINS": f"https://app.example.org,{origin}"})
    assert said.startswith(f"TICKETBOOK_LEGACY_ORIGINS holds {origin!r}, which is not an origin.")


def test_legacy_routes_without_a_place_for_their_users_are_refused() -> None:
    assert "TICKETBOOK_LEGACY_USERS" in refusal({"TICKETBOOK_LEGACY_JWT_SECRET": "old"})
    assert "not a MongoDB address" in refusal({"TICKETBOOK_LEGACY_USERS": "sqlite:///a.db"})


def test_the_environment_is_read_in_one_module() -> None:
    root = Path(__file__).parents[2]
    readers = [
        str(path.relative_to(root))
        for folder in ("domain", "projections", "infrastructure", "api")
        for path in (root / folder).rglob("*.py")
        if re.search(r"os\.environ|import environ|getenv", path.read_text())
    ]
    assert readers == ["infrastructure/configuration/settings.py"]


def sqlite_settings(folder: Path) -> Settings:
    return load_settings({"TICKETBOOK_STORE": f"sqlite:///{folder}/tickets.db"})


def test_with_nothing_configured_a_secret_is_made_beside_the_sqlite_file(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    made = auth_of(sqlite_settings(folder))
    assert isinstance(made, SharedSecret)
    assert re.fullmatch("[0-9a-f]{64}", made.value)
    assert auth_of(sqlite_settings(folder)) == made
    assert [path.name for path in folder.iterdir()] == ["tickets.db.secret"]
    assert (folder / "tickets.db.secret").stat().st_mode & 0o777 == 0o600


def test_a_configured_secret_leaves_no_file(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/tickets.db"
    settings = load_settings({"TICKETBOOK_STORE": store, "TICKETBOOK_AUTH_SECRET": SECRET})
    assert auth_of(settings) == SharedSecret(SECRET)
    assert list(tmp_path.iterdir()) == []


def test_a_mongodb_store_needs_a_configured_secret_or_issuer() -> None:
    with pytest.raises(ConfigurationError, match="TICKETBOOK_AUTH_SECRET"):
        auth_of(load_settings({"TICKETBOOK_STORE": MONGODB}))


def test_all_who_ask_first_at_once_get_the_same_secret(tmp_path: Path) -> None:
    path = tmp_path / "a.secret"
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(read_or_make_secret, [path] * 64))) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_processes_that_ask_first_at_once_get_the_same_secret(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; "
        "from infrastructure.keys.secret_file import read_or_make_secret as f; "
        "sys.stdin.read(); print(f(pathlib.Path(sys.argv[1])))"
    )
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "a.secret")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in asking:
        assert process.stdin
        process.stdin.close()
        process.stdin = None
    secrets = {process.communicate(timeout=30)[0] for process in asking}
    assert len(secrets) == 1
    assert len(secrets.pop().strip()) == 64


def test_a_secret_file_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.secret"
    read_or_make_secret(path)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_or_make_secret(path)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, b"g" * 64, b"a" * 63])
def test_a_file_that_holds_no_secret_of_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.secret"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, content)
    os.close(descriptor)
    with pytest.raises(ConfigurationError, match="does not hold a secret"):
        read_or_make_secret(path)


def test_a_secret_that_can_not_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        read_or_make_secret(tmp_path / "file" / "a.secret")
