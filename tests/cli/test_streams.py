"""Every command on streams that are closed, full, gone, narrow, or of a small alphabet, over a
store of names and reasons in every script: the exit code is the conventional one, and nothing is
ever a traceback."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any, Final

import httpx
import pytest
import typer

from api.cli.main import app
from api.cli.output import Exit
from api.composition import open_service
from domain.origin import Origin, milliseconds
from domain.ticket.commands import CreateTicket
from infrastructure.configuration.settings import load_settings
from tests.support.command import COMMAND, clean_environment
from tests.support.migrating import as_json_lines
from tests.support.streams import STREAMS, Printed, run_with

ORG: Final = "52f22665a60c12d289185d95"
NAMES: Final = ("وردية الليل", "Nacht 🌙", "Crew")
REASON: Final = "\x1b[2J\u202e\x9b0m"
"""Clears a terminal, turns the text round, and ends colours the short way."""

_SIGNS: Final = "\x1b\u202e\x9b"

TICKET: Final = f"{1:024x}"
COMMANDS: Final = (
    "serve --host 0.0.0.0",
    f"token --sub ada --org {ORG} --scope audit:read",
    f"tickets create --org {ORG} --system workforce_2 --name x",
    "tickets list",
    f"tickets show {TICKET}",
    f"tickets change {TICKET} --name x",
    f"tickets retire {TICKET}",
    f"tickets restore {TICKET}",
    "token --check nonsense --json",
    "completion bash",
    "projections status",
    "projections rebuild tickets",
    "projections pause tickets",
    "projections resume tickets",
    "projections throttle tickets --rate 5",
    "projections cancel tickets",
    "projections rollback",
    "projections drop-old",
    "projections verify",
    "projections parked list",
    f"projections parked retry tickets {TICKET}",
    f"projections parked skip tickets {TICKET} --reason none",
    "audit search",
    "audit search --json",
    "audit reads",
    "audit at 3",
    "audit at 3 --json",
    "audit grants get_all 2025-10-28",
    "audit diff 0 3",
    "audit head",
    "audit key",
    "audit export",
    "audit export --format csv",
    "audit verify",
    "migrate plan --source OLD",
    "migrate backup --source OLD --to NEW",
    "migrate run --source OLD --no-backup",
    "migrate status --source OLD",
    "migrate report",
    f"migrate quarantine dismiss {TICKET} --reason none",
    "migrate verify --source OLD",
    "migrate follow --source OLD",
    "migrate rollback --source OLD",
    "migrate retire --source OLD",
    "migrate adopt",
    "migrate adopt plan",
    "migrate adopt rollback",
    "migrate adopt verify",
    "migrate quarantine list",
    f"migrate quarantine show {TICKET}",
    "migrate quarantine retry",
    "catalogue check",
    "catalogue show",
    "legacy usage",
    "no such command",
    "--help",
)
STDOUT_CODES: Final = {"closed": Exit.STORE, "full": Exit.STORE, "gone": Exit.INTERRUPTED}
"""By the stream: the exit code of a command that has something to print."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of three tickets, and an old system's dump."""
    folder = tmp_path_factory.mktemp("filled")
    with open_service(
        load_settings({"TICKETBOOK_STORE": f"sqlite:///{folder}/store.db"})
    ) as opened:
        origin = Origin("ada", REASON, "run-1", None, milliseconds(opened.clock()))
        for number, name in enumerate(NAMES, 1):
            command = CreateTicket(f"{number:024x}", origin, ORG, "workforce_2", name, ("get_all",))
            opened.writer.execute(command)
        for view in opened.projections.values():
            assert view.live_version.progress.wait(3, timeout=60)
    old = folder / "old"
    old.mkdir()
    as_json_lines(old)
    lines = (old / "ticket_1.json").read_text().splitlines()[:20]
    (old / "ticket_1.json").write_text("\n".join(lines) + "\n")
    (old / "users.json").write_text("")
    return folder


@pytest.fixture
def anew(filled: Path, tmp_path: Path) -> Iterator[Any]:
    """Runs a command on a copy of the store."""
    copies = iter(range(1_000))

    def run(command: str, **streams: str) -> Printed:
        folder = tmp_path / str(next(copies))
        folder.mkdir()
        for file in filled.glob("store.db*"):
            shutil.copy2(file, folder)
        old, new = str(filled / "old"), str(folder / "new")
        words = [{"OLD": old, "NEW": new}.get(word, word) for word in command.split()]
        return run_with(*words, store=f"sqlite:///{folder}/store.db", **streams)

    yield run


def test_every_command_is_tried() -> None:
    commands = _commands("", typer.main.get_command(app))
    tried = tuple(f"{command} " for command in COMMANDS)
    assert [name for name in commands if not any(one.startswith(f"{name} ") for one in tried)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_stream_that_fails_is_told_from_what_the_command_found(anew: Any, command: str) -> None:
    usual, raw = anew(command), command.startswith("audit export")
    assert usual.code in {code.value for code in Exit} - {Exit.UNFORESEEN}
    for stream in STREAMS:
        lost = anew(command, stdout=stream)
        failing = STDOUT_CODES.get(stream) if usual.stdout else None
        assert lost.code == (usual.code if failing is None else failing), stream
        assert ("output cannot be written" in lost.stderr.decode()) == (failing == Exit.STORE)
        assert b"Traceback" not in lost.stderr
        unsaid = anew(command, stderr=stream)
        assert unsaid.code == usual.code, stream
        assert len(unsaid.stdout) >= 0.9 * len(usual.stdout)  # but for times, as long
        assert b"Traceback" not in unsaid.stderr
        for text in (lost.stderr, unsaid.stderr, *((lost.stdout,) if not raw else ())):
            assert not any(sign.encode() in text for sign in _SIGNS), stream


@pytest.mark.exhaustive
@pytest.mark.parametrize("stderr", STREAMS)
@pytest.mark.parametrize("stdout", STREAMS)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_pair_of_streams_raises(anew: Any, command: str, stdout: str, stderr: str) -> None:
    usual = anew(command)
    printed = anew(command, stdout=stdout, stderr=stderr)
    failing = STDOUT_CODES.get(stdout) if usual.stdout else None
    assert printed.code == (usual.code if failing is None else failing)
    assert b"Traceback" not in printed.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_says_the_same_in_every_encoding(anew: Any, encoding: str) -> None:
    printed = anew("audit search --json", stdout=encoding)
    entries = json.loads(printed.stdout.decode(encoding))
    assert {entry["after"]["name"] for entry in entries} == set(NAMES)
    assert {entry["reason"] for entry in entries} == {REASON}


def test_a_narrow_terminal_shows_whole_values_in_records(anew: Any) -> None:
    shown = anew("audit at 3", stdout="40 columns").stdout.decode()
    for whole in (TICKET, ORG, "workforce_2", *NAMES):
        assert whole in shown
    assert "ticket        " + TICKET in shown
    assert "…" not in shown


@pytest.mark.parametrize(
    ("command", "streams", "code"),
    [
        ("audit verify", "2>&-", 0),
        ("audit verify", "2>/dev/full", 0),
        ("audit verify", ">&-", 4),
        ("audit verify --json", "| true", 130),
        ("projections verify", ">&- 2>&-", 0),
        ("catalogue show", "<&- >&- 2>&-", 4),
        ("--help", ">/dev/full", 4),
        ("audit key", "2>&1 | true", 130),
    ],
)
def test_processes_end_with_the_code_of_the_table(
    filled: Path, command: str, streams: str, code: int
) -> None:
    script = f"ticketbook {command} {streams}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script],
        env=clean_environment(
            f"sqlite:///{filled}/store.db", {"PATH": f"{COMMAND.parent}:/usr/bin:/bin"}
        ),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def _commands(path: str, command: Any) -> Iterator[str]:
    if not hasattr(command, "list_commands"):
        yield path.strip()
        return
    for name in command.list_commands(None):
        yield from _commands(f"{path} {name}", command.get_command(None, name))


@pytest.mark.parametrize("streams", [">&- 2>&-", "2>/dev/full"])
def test_a_service_answers_though_nobody_can_be_told(tmp_path: Path, streams: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = clean_environment(f"sqlite:///{tmp_path}/store.db", {})
    script = f"exec {COMMAND} serve --port {port} {streams}"
    service = subprocess.Popen(["bash", "-c", script], env=environment)
    try:
        answered = 0
        while service.poll() is None and not answered:
            sleep(0.1)
            with suppress(httpx.TransportError):
                answered = httpx.get(f"http://127.0.0.1:{port}/healthz").status_code
        assert answered == 200
    finally:
        service.terminate()
        code = service.wait(timeout=60)
    assert code == 0
