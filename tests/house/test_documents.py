"""The documents are true: their sessions run, their links lead somewhere, and every route,
setting, command and exit code stands on the one page that owns it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import typer
from pymongo import MongoClient

from api.cli.main import app
from api.cli.output import Exit
from api.http import limits
from api.legacy import bounds
from infrastructure.configuration.settings import SETTINGS
from infrastructure.mongodb.client import Document
from tests.support.migrating import old_database
from tests.support.server import Served, serving

ROOT: Final = Path(__file__).parents[2]
PAGES: Final[Mapping[str, str]] = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CHANGELOG.md")
}
README: Final = PAGES["README.md"]
CURL: Final = "http://127.0.0.1:8000"

_TICKET_LIFE, _QUESTIONS, _PROOFS, _BACKUP, _RESTORE, _MIGRATION = (
    ("README.md", 0),
    ("docs/auditors.md", 0),
    ("docs/auditors.md", 1),
    ("docs/operators.md", 0),
    ("docs/operators.md", 1),
    ("docs/migration.md", 0),
)


@pytest.fixture(scope="module")
def served_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service on SQLite, for what is the same on every store."""
    with serving(f"sqlite:///{tmp_path_factory.mktemp('served')}/store.db") as running:
        yield running


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) <= 120


def test_every_setting_has_one_page() -> None:
    assert _without_one_page(setting.name for setting in SETTINGS) == {}


def test_every_command_has_one_page() -> None:
    commands = list(_commands("ticketbook", typer.main.get_command(app)))
    assert len(commands) >= 30
    assert _without_one_page(commands) == {}


def test_every_route_has_one_page(served_once: Served) -> None:
    paths = httpx.get(f"{served_once.url}/openapi.json").json()["paths"]
    routes = [f"{method.upper()} {path}" for path, routes in paths.items() for method in routes]
    assert len(routes) >= 30
    assert _without_one_page(routes) == {}


def test_every_exit_code_stands_in_the_table() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", PAGES["docs/operators.md"], re.MULTILINE)
    assert {name: int(code) for code, name in rows} == {code.name: code.value for code in Exit}


def test_every_limit_stands_in_the_table() -> None:
    section = PAGES["docs/clients.md"].partition("\n## Limits\n")[2].partition("\n## ")[0]
    constants = vars(limits) | vars(bounds)
    numbers = {name: value for name, value in constants.items() if name.isupper()}
    inner = {"LINGER_SECONDS", "LINGER_BYTES", "SPARE_DESCRIPTORS"}  # nobody meets these
    assert len(numbers) >= 12
    for name in numbers.keys() - inner:
        assert re.search(rf"\b{numbers[name]:,.0f}\b", section), name


def test_every_metric_of_the_table_is_measured(served_once: Served) -> None:
    named = {name for name in _owned(PAGES["docs/operators.md"]) if name.startswith("ticketbook_")}
    named -= {"ticketbook_legacy_calls_total"}  # where the old routes are on
    assert len(named) >= 9
    metrics = served_once.client().get("/metrics").text
    assert [name for name in sorted(named) if f"# HELP {name} " not in metrics] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGES[page])
    broken = [link for link in links if not link.startswith("https://") and not _leads(page, link)]
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page: str) -> None:
    rooms = "domain|projections|infrastructure|api|tests|docs"
    named = re.findall(rf"`((?:{rooms})/[\w/.]*)`", PAGES[page])
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_is_named_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", PAGES[page], re.MULTILINE))
    missing = [one for one in sorted(named) if not re.search(rf"^{one}:", makefile, re.MULTILINE)]
    assert missing == []


def test_the_readme_names_the_targets_that_everybody_needs() -> None:
    for target in ("serve", "test", "quick"):
        assert f"make {target}" in README


def test_the_curl_that_serve_prints_on_a_terminal_creates_a_ticket(tmp_path: Path) -> None:
    terminal, stderr = os.openpty()
    with os.fdopen(terminal, "rb", buffering=0) as screen, _serve(tmp_path, stderr):
        os.close(stderr)
        shown = b""
        while not (curl := re.search(rb"^(curl .*}')\r?\n", shown, re.MULTILINE)):
            shown += screen.read(1_000)
        done = subprocess.run(
            ["bash", "-c", curl[1].decode()], capture_output=True, text=True, timeout=60
        )
    assert done.stdout.startswith("HTTP/1.1 201 Created")


def test_a_start_says_on_what_and_for_whom_and_no_token_where_stderr_is_no_terminal(
    tmp_path: Path,
) -> None:
    with _serve(tmp_path) as server:
        assert server.stderr
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Make a token"):
            lines.append(next(server.stderr))
    start = "".join(lines)
    for words in (
        "Ticketbook serves http://127.0.0.1:",
        f"Version: {version('ticketbook')}",
        "Store: SQLite, var/ticketbook.db, at position 0",
        "Catalogue: ",
        "Callers: tokens signed with the secret that was made beside the store",
        "Old callers: not answered",
    ):
        assert words in start
    assert "eyJ" not in start and "Bearer" not in start


def test_no_session_is_left_out() -> None:
    sessions = [(page, n) for page in PAGES for n in range(len(_sessions(page)))]
    run = {_TICKET_LIFE, _QUESTIONS, _PROOFS, _BACKUP, _RESTORE, _MIGRATION}
    assert set(sessions) == run


def test_a_tickets_life_its_audit_and_its_backup_go_as_they_say(tmp_path: Path) -> None:
    preparing = "\n".join(_script(_TICKET_LIFE)[0].splitlines()[:3])
    with _serving(tmp_path) as url:
        for session in (_TICKET_LIFE, _QUESTIONS, _PROOFS, _BACKUP, _RESTORE):
            script, expected = _script(session)
            script = f"set -e\n{preparing}\n{script}".replace(CURL, url)
            code, printed = _on_a_terminal(script, tmp_path)
            assert code == 0, (session, printed)
            assert _without_chance(printed) == _without_chance(expected), session


def test_a_migration_goes_as_it_says(
    tmp_path: Path, mongodb_client: MongoClient[Document], mongodb_uri: str
) -> None:
    preparing = "\n".join(_script(_TICKET_LIFE)[0].splitlines()[:3])
    script, expected = _script(_MIGRATION)
    with old_database(mongodb_client, mongodb_uri) as (old, source), _serving(tmp_path) as url:
        script = re.sub(r"mongodb://[^']+", lambda _: source, script)
        script = f"set -e\n{preparing}\n{script}".replace(CURL, url)
        code, printed = _on_a_terminal(script, tmp_path)
        assert code == 0, printed
        name = source.partition("//")[2].partition("?")[0]
        printed = printed.replace(name, "127.0.0.1:27017/old")
        printed = printed.replace(str(tmp_path), "/srv/ticketbook")
        assert sorted(_lines(printed)) == sorted(_lines(expected))
        assert old.list_collection_names() == ["users"]


def _owned(text: str) -> Iterator[str]:
    """What the first column of its tables names in code."""
    for cell in re.findall(r"^\| (.*?) \|", text, re.MULTILINE):
        yield from re.findall(r"`([^`]+)`", cell)


def _without_one_page(names: Iterator[str] | Sequence[str]) -> dict[str, list[str]]:
    """The pages that own each name, for those that not exactly one page owns."""
    owners = {
        name: [
            page
            for page, text in PAGES.items()
            if any(one == name or one.startswith(f"{name} ") for one in _owned(text))
        ]
        for name in names
    }
    return {name: pages for name, pages in owners.items() if len(pages) != 1}


def _leads(page: str, link: str) -> bool:
    """Whether a relative link names a file, and a heading in it."""
    path, _, heading = link.partition("#")
    target = (ROOT / page).parent / path if path else ROOT / page
    if not target.exists():
        return False
    return not heading or heading in _headings(target.read_text())


def _headings(text: str) -> list[str]:
    """The anchors of a page's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


def _commands(path: str, command: Any) -> Iterator[str]:
    if not hasattr(command, "list_commands"):
        yield path
        return
    for name in command.list_commands(None):
        yield from _commands(f"{path} {name}", command.get_command(None, name))


@contextmanager
def _serve(folder: Path, stderr: int = subprocess.PIPE) -> Iterator["subprocess.Popen[str]"]:
    server = subprocess.Popen(
        [Path(sys.executable).with_name("ticketbook"), "serve", "--port", "0"],
        cwd=folder,
        stderr=stderr,
        text=True,
    )
    try:
        yield server
    finally:
        server.terminate()
        server.communicate(timeout=30)


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """A service started in the folder as the README does, with `ticketbook` in its `.venv`."""
    with _serve(folder) as server:
        assert server.stderr
        url = next(
            line.split()[-1] for line in server.stderr if line.startswith("Ticketbook serves ")
        )
        (folder / ".venv").symlink_to(Path(sys.executable).parent.parent)
        yield url


def _on_a_terminal(script: str, folder: Path) -> tuple[int, str]:
    """The exit code, and everything printed, with stderr on a terminal and stdout in a file."""
    terminal, stderr = os.openpty()
    data = folder / "stdout"
    with data.open("wb") as stdout, os.fdopen(terminal, "rb", buffering=0) as screen:
        running = subprocess.Popen(
            ["timeout", "120", "bash", "-c", script], cwd=folder, stdout=stdout, stderr=stderr
        )
        os.close(stderr)
        shown = b""
        with suppress(OSError):  # it ends so when nobody has the terminal open any more
            while read := screen.read(1_000):
                shown += read
        code = running.wait()
    return code, shown.decode() + data.read_text()


def _sessions(page: str) -> list[str]:
    return re.findall(r"```console\n(.*?)```", PAGES[page], re.DOTALL)


def _script(session: tuple[str, int]) -> tuple[str, str]:
    """The commands of a page's session, and what they print."""
    page, number = session
    lines = _sessions(page)[number].splitlines()
    script = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    printed = [line for line in lines if not line.startswith("$ ")]
    return "\n".join(script), "\n".join(printed)


def _lines(text: str) -> list[str]:
    """The lines as they stand on a terminal in the end, without rates and lags."""
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    lines = [re.sub(r"[\d,]+( \w+)?/s", "<rate>", re.sub(r" +", " ", one)) for one in lines]
    lines = [re.sub(r"[\d,]+ events behind", "<lag>", one) for one in lines]
    return [line.strip() for line in lines if line.strip()]


def _without_chance(text: str) -> list[str]:
    """The lines without what differs each time: ids, hashes, times, rates, and how often progress
    is shown. Data and messages come on two ways, so their order is not told."""
    text = re.sub(r"\b(?!52f22665a60c12d289185d95)[0-9a-f]{24}\b", "<id>", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "<hash>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text)
    return sorted(line for line in _lines(text) if not line.startswith("position: "))
