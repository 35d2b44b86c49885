"""Commands start at once: each loads the modules that it uses, and no others."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from api.cli.main import COMMANDS, app

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


def heavy(*arguments: str, folder: Path) -> set[str]:
    """The heavy packages that the command loaded; its store is a SQLite file in the folder."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        cwd=folder,
        env={"TICKETBOOK_STORE": f"sqlite:///{folder}/store.db"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {module.partition(".")[0] for module in done.stderr.split()} & HEAVY


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    [
        (("--help",), set()),
        (("catalogue", "check"), set()),
        (TOKEN, {"jwt", "cryptography"}),  # what signs tokens brings the other along
    ],
)
def test_a_command_loads_no_heavy_package_that_it_does_not_use(
    arguments: tuple[str, ...], loaded: set[str], tmp_path: Path
) -> None:
    assert heavy(*arguments, folder=tmp_path) <= loaded


@pytest.mark.parametrize("name", COMMANDS)
def test_a_line_of_help_is_what_the_command_itself_says(name: str) -> None:
    group: Any = typer.main.get_command(app)
    command = group.get_command(None, name)
    assert command.name == name
    assert command.help.partition("\n")[0] == COMMANDS[name][1]
