"""The README is true: its session runs, and everything there is to know of stands in it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from pymongo import MongoClient

from api.cli.main import app
from api.composition import open_service
from api.http.app import create_app
from infrastructure.configuration.settings import SETTINGS, load_settings
from infrastructure.mongodb.client import Document
from tests.support.migrating import old_database

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text()


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) <= 230


def test_it_names_every_setting() -> None:
    assert [setting.name for setting in SETTINGS if f"`{setting.name}`" not in README] == []


def test_it_names_every_command() -> None:
    commands = list(_commands("ticketbook", typer.main.get_command(app)))
    assert len(commands) >= 9
    assert [command for command in commands if f"`{command}" not in README] == []


def test_it_names_every_route(tmp_path: Path) -> None:
    settings = load_settings({"TICKETBOOK_STORE": f"sqlite:///{tmp_path}/store.db"})
    with open_service(settings, run_projections=False) as service:
        paths = create_app(service).openapi()["paths"]
    assert len(paths) >= 12
    missing = [
        f"{method.upper()} {path}"
        for path, operations in paths.items()
        for method in operations
        if not re.search(rf"`{method.upper()}\b[^|]*{re.escape(path)}`", README)
    ]
    assert missing == []


def test_the_curl_that_serve_prints_creates_a_ticket(tmp_path: Path) -> None:
    server = subprocess.Popen(
        [Path(sys.executable).with_name("ticketbook"), "serve", "--port", "0"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr
        curl = next(line for line in server.stderr if line.startswith("curl "))
        done = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, timeout=60)
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert done.stdout.startswith("HTTP/1.1 201 Created")


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """A service started in the folder as the README does, with `ticketbook` in its `.venv`."""
    server = subprocess.Popen(
        [Path(sys.executable).with_name("ticketbook"), "serve", "--port", "0"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr
        url = server.stderr.readline().split()[-1]
        (folder / ".venv").symlink_to(Path(sys.executable).parent.parent)
        yield url
    finally:
        server.terminate()
        server.communicate(timeout=30)


def test_its_session_prints_what_it_says(tmp_path: Path) -> None:
    session = re.search(r"```console\n(.*?)```", README, re.DOTALL)
    assert session
    script, expected = _script(session[1])
    with _serving(tmp_path) as url:
        done = subprocess.run(
            ["bash", "-c", script.replace("http://127.0.0.1:8000", url)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert _normal(done.stdout) == _normal(expected)


def test_its_migration_goes_as_it_says(
    tmp_path: Path, mongodb_client: MongoClient[Document], mongodb_uri: str
) -> None:
    life, migration = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    preparing = "\n".join(_script(life)[0].splitlines()[:3])
    script, expected = _script(migration)
    with old_database(mongodb_client, mongodb_uri) as (old, source), _serving(tmp_path) as url:
        script = re.sub(r"mongodb://[^']+", lambda _: source, script)
        script = f"set -e\n{preparing}\n{script}".replace("http://127.0.0.1:8000", url)
        code, printed = _on_a_terminal(script, tmp_path)
        assert code == 0, printed
        name = source.partition("//")[2].partition("?")[0]
        printed = printed.replace(name, "127.0.0.1:27017/old")
        printed = printed.replace(str(tmp_path), "/srv/ticketbook")
        assert sorted(_settled(printed)) == sorted(_settled(expected))
        assert old.list_collection_names() == ["users"]


def _on_a_terminal(script: str, folder: Path) -> tuple[int, str]:
    """The exit code, and what it prints when what is not data goes to a terminal."""
    terminal, stderr = os.openpty()
    said = folder / "said"
    with said.open("wb") as stdout, os.fdopen(terminal, "rb", buffering=0) as screen:
        running = subprocess.Popen(
            ["timeout", "60", "bash", "-c", script], cwd=folder, stdout=stdout, stderr=stderr
        )
        os.close(stderr)
        shown = b""
        with suppress(OSError):  # it ends so when nobody has the terminal open any more
            while read := screen.read(1_000):
                shown += read
        code = running.wait()
    return code, shown.decode() + said.read_text()


def _commands(path: str, command: Any) -> Iterator[str]:
    if not hasattr(command, "list_commands"):
        yield path
        return
    for name in command.list_commands(None):
        yield from _commands(f"{path} {name}", command.get_command(None, name))


def _script(session: str) -> tuple[str, str]:
    lines = session.splitlines()
    script = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    printed = [line for line in lines if not line.startswith("$ ")]
    return "\n".join(script), "\n".join(printed)


def _settled(text: str) -> list[str]:
    """The lines as they stand on a terminal in the end, without rates."""
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    lines = [re.sub(r"[\d,]+/s", "<rate>", re.sub(r" +", " ", line)).strip() for line in lines]
    return [line for line in lines if line]


def _normal(text: str) -> str:
    """Without what differs each time: ids, times, and how wide a column came out."""
    text = re.sub(r"\b(?!52f22665a60c12d289185d95)[0-9a-f]{24}\b", "<id>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text)
    return "\n".join(re.sub(r" +", " ", line).strip() for line in text.split("\n") if line.strip())


@pytest.mark.parametrize("target", ["serve", "test", "bench"])
def test_its_make_targets_exist(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert f"make {target}" in README
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
