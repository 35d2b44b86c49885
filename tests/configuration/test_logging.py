"""Logging: its form, and what it never shows."""

import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog

from api.cli.output import say
from infrastructure.logging import configure_logging

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"
ADDRESS = "mongodb://writer:hunter2@db1/tickets"


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


def test_lines_for_machines_are_json_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True)
    structlog.get_logger("ours").info("ticket.created", position=7)
    logging.getLogger("theirs").warning("slow: %s s", 3)
    out, err = capsys.readouterr()
    ours, theirs = map(json.loads, err.splitlines())
    assert out == ""
    assert ours.items() >= {"event": "ticket.created", "position": 7, "level": "info"}.items()
    assert theirs.items() >= {"event": "slow: 3 s", "logger": "theirs"}.items()
    assert ours["timestamp"].endswith("Z")


def test_lines_for_people_are_not_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=False)
    structlog.get_logger("ours").info("ticket.created")
    assert "ticket.created" in capsys.readouterr().err


@pytest.mark.parametrize("as_json", [True, False])
def test_credentials_are_masked_wherever_they_stand(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    configure_logging(json=as_json)
    secret = "a secret in a variable"
    try:
        raise ValueError(f"{ADDRESS} refused {TOKEN}")
    except ValueError:
        structlog.get_logger("ours").exception("failed", header=f"Bearer {TOKEN}", at=[ADDRESS])
    logging.getLogger("theirs").error("got %s and Bearer opaque-credential", TOKEN)
    err = capsys.readouterr().err
    assert "db1/tickets" in err
    assert "Traceback" in err
    assert not [shown for shown in (TOKEN, "hunter2", "opaque", secret) if shown in err]


def test_nothing_that_callers_wrote_can_disturb_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(json=False)
    wild = "/\x1b[2J\x1b]0;title\x07\x9b1A\r\nforged line\u202e"
    log = structlog.get_logger("ours")
    log.warning(wild, path=wild, among=[wild], error=ValueError(wild))
    logging.getLogger("theirs").error("got %s", wild)
    try:
        raise ValueError(wild)
    except ValueError:
        log.exception("failed", stack_info=True)
    shown = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().err)  # our own colours
    assert [c for c in shown if not c.isprintable() and c != "\n"] == []
    first, second, *traceback = shown.splitlines()
    assert first.count(r"/\x1b[2J\x1b]0;title\x07\x9b1A\r\nforged line\u202e") == 4
    assert r"got /\x1b[2J\x1b]0;title\x07\x9b1A\r\nforged line\u202e" in second
    assert traceback[-2] == r"ValueError: /\x1b[2J\x1b]0;title\x07\x9b1A\r"


def test_what_commands_tell_can_not_disturb_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("ticket \x1b[2J\x9b1A is\nparked")
    assert capsys.readouterr().err == "ticket \\x1b[2J\\x9b1A is\nparked\n"
