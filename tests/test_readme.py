"""The README is true: its session runs, and everything there is to know of stands in it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from api.cli.main import app
from api.composition import open_service
from api.http.app import create_app
from infrastructure.settings import SETTINGS, load_settings

ROOT: Final = Path(__file__).parent.parent
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


def test_its_session_prints_what_it_says(tmp_path: Path) -> None:
    session = re.search(r"```console\n(.*?)```", README, re.DOTALL)
    assert session
    script, expected = _script(session[1])
    server = subprocess.Popen(
        [Path(sys.executable).with_name("ticketbook"), "serve", "--port", "0"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr
        url = server.stderr.readline().split()[-1]
        (tmp_path / ".venv").symlink_to(Path(sys.executable).parent.parent)
        done = subprocess.run(
            ["bash", "-c", script.replace("http://127.0.0.1:8000", url)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert done.returncode == 0, done.stderr
    assert _normal(done.stdout) == _normal(expected)


def _commands(path: str, command: Any) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path
        return
    for name, one in inner.items():
        yield from _commands(f"{path} {name}", one)


def _script(session: str) -> tuple[str, str]:
    lines = session.splitlines()
    script = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    printed = [line for line in lines if not line.startswith("$ ")]
    return "\n".join(script), "\n".join(printed)


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
