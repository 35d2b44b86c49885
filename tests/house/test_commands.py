"""A command that runs in the process of the tests answers as one in a process of its own."""

import logging
import os
import signal
import sys
from pathlib import Path

import pytest
import structlog

from api.cli.output import LINE
from api.composition import open_stores
from infrastructure.configuration.settings import load_settings
from tests.support.command import run, run_process

ORG = "52f22665a60c12d289185d95"


@pytest.fixture
def store(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/store.db"
    with open_stores(load_settings({"TICKETBOOK_STORE": address})):
        return address


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("serve --host 0.0.0.0", 3),
        (f"token --sub ada --org {ORG} --scope no:such", 3),
        ("projections status", 1),
        ("projections verify ticket", 2),
        (f"audit search --org {ORG} --json", 0),
        ("audit at 7", 2),
        ("migrate plan --source gone", 4),
        ("catalogue show", 0),
        ("legacy usage", 0),
        ("no such command", 2),
        ("", 2),
    ],
)
def test_a_command_of_each_group_ends_alike_in_both(store: str, command: str, code: int) -> None:
    here = run(*command.split(), store=store)
    assert here == run_process(*command.split(), store=store)
    assert here[0] == code


def test_nothing_is_left_of_a_command(store: str) -> None:
    def state() -> list[object]:
        root = logging.getLogger()
        return [
            *(dict(os.environ), list(sys.argv), sys.stdin, sys.stdout, sys.stderr, sys.excepthook),
            *(list(root.handlers), root.level, structlog.get_config(), dict(vars(LINE))),
            *(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)),
            sys.modules["__main__"],
        ]

    before = state()
    assert run("serve", "--port", "1", store=store, TICKETBOOK_STOER="x")[0] == 3
    assert run("projections", "verify", store=store)[0] == 0
    assert state() == before


def test_two_commands_at_once_need_processes(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def another() -> None:
        with pytest.raises(RuntimeError, match="run_process"):
            run("catalogue", "check")

    monkeypatch.setattr("tests.support.command.main", another)
    assert run("catalogue", "check") == (0, "", "")
