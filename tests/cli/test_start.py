"""Commands start at once: each loads the modules that it uses, and no others."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from api.cli.main import COMMANDS, app
from api.composition import open_service
from infrastructure.configuration.settings import load_settings

HEAVY: Final = {
    "asyncio",
    "bson",
    "cryptography",
    "eventsourcing",
    "fastapi",
    "jwt",
    "prometheus_client",
    "pymongo",
    "rich",
    "socketio",
    "sqlite3",
    "starlette",
    "structlog",
    "uvicorn",
    "watchfiles",
}
"""Packages that take longer to load than a command may take to start."""

TOKEN: Final = ("token", "--sub", "ada", "--org", "52f22665a60c12d289185d95", "--scope", "migrate")

LOADED: Final = """
import sys
from api.cli.main import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


OPENED: Final = """
import sys
from api.composition import open_stores
from infrastructure.configuration.settings import load_settings
with open_stores(load_settings()) as stores:
    print(*sys.modules, file=sys.stderr)
"""


def heavy(program: str, *arguments: str, store: str) -> set[str]:
    """The heavy packages that the program loaded."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"TICKETBOOK_STORE": store, "TICKETBOOK_AUTH_SECRET": "s" * 32},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {module.partition(".")[0] for module in done.stderr.split()} & HEAVY


@pytest.mark.parametrize(  # structlog brings asyncio and rich along
    ("arguments", "loaded"),
    [
        (("--help",), set()),
        (("catalogue", "check"), set()),
        (TOKEN, set()),
        (("projections", "status"), {"eventsourcing", "sqlite3", "structlog", "asyncio", "rich"}),
    ],
)
def test_a_command_loads_no_heavy_package_that_it_does_not_use(
    arguments: tuple[str, ...], loaded: set[str], tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path}/store.db"
    with open_service(load_settings({"TICKETBOOK_STORE": store})):
        assert heavy(LOADED, *arguments, store=store) <= loaded


def test_a_process_that_works_on_a_store_loads_that_store_alone(store_url: str) -> None:
    sqlite, mongodb = {"sqlite3"}, {"pymongo", "bson", "asyncio"}
    loaded = heavy(OPENED, store=store_url) - {"eventsourcing"}
    assert loaded <= (sqlite if store_url.startswith("sqlite") else mongodb)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_line_of_help_is_what_the_command_itself_says(name: str) -> None:
    group: Any = typer.main.get_command(app)
    command = group.get_command(None, name)
    assert command.name == name
    assert command.help.partition("\n")[0] == COMMANDS[name][1]


def test_a_process_that_only_translates_records_loads_no_client_of_a_store() -> None:
    program = (
        "import sys, infrastructure.migration.translators; print(*sys.modules, file=sys.stderr)"
    )
    assert heavy(program, store="sqlite:///none.db") <= {"eventsourcing", "bson"}
