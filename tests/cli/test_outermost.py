"""One outermost place turns whatever a command raises into a sentence and an exit code."""

from collections.abc import Iterator

import pytest

from api.cli import catalogue
from api.cli.output import EXIT_CODES, Exit, exit_code_of
from domain.errors import TicketbookError
from tests.support.command import run, run_process


def errors(kind: type[TicketbookError] = TicketbookError) -> Iterator[type[TicketbookError]]:
    for error in kind.__subclasses__():
        yield error
        yield from errors(error)


@pytest.mark.parametrize("error", [one for one in errors() if one.__module__[:5] != "tests"])
def test_each_of_our_errors_has_an_exit_code(error: type[TicketbookError]) -> None:
    assert exit_code_of(error) is not Exit.UNFORESEEN


def test_only_findings_end_with_one() -> None:
    findings = {error.__name__ for error, code in EXIT_CODES.items() if code is Exit.DIFFERENT}
    assert findings == {
        *("ChainBroken", "ExportBroken", "NotProven", "ChangedHere", "ProjectionBehind"),
    }


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`catalogue check` raises an error that nobody foresaw, with a secret in its message."""

    def fail(_: object) -> None:
        raise RecursionError("at mongodb://ada:p@ss@h/x?tlsCertificateKeyFilePassword=open\x1b[2J")

    monkeypatch.setattr(catalogue, "_load", fail)


@pytest.mark.usefixtures("failing")
def test_an_unforeseen_error_is_a_sentence_and_never_exit_code_one() -> None:
    code, out, err = run("catalogue", "check")
    assert (code, out) == (70, "")
    assert err.startswith("ticketbook: Something unforeseen ended the command: RecursionError: at ")
    assert "ticketbook --debug" in err
    assert "Traceback" not in err


@pytest.mark.usefixtures("failing")
def test_debug_shows_the_traceback_and_no_secret() -> None:
    code, _, err = run("--debug", "catalogue", "check")
    assert code == 70
    assert "Traceback (most recent call last)" in err and "in fail" in err
    assert "[masked]@h/x" in err
    for secret in ("ada", "p@ss", "ss@h", "open", "\x1b"):
        assert secret not in err.partition("raise")[2].partition("\n")[2]


@pytest.mark.usefixtures("failing")
def test_debug_is_an_option_of_ticketbook_and_not_of_what_follows() -> None:
    assert run("catalogue", "check", "--debug")[0] == 2


def test_an_argument_that_is_not_utf_8_is_wrong_usage() -> None:
    code, _, err = run_process("catalogue", "check", b"\xff.toml".decode(errors="surrogateescape"))
    assert (code, err) == (2, "Argument 3 is not UTF-8 text. Write it as UTF-8.\n")


def test_a_misplaced_address_is_not_repeated() -> None:
    code, _, err = run("migrate", "plan", "mongodb://ada:secret@h/old")
    assert code == 2
    assert "secret" not in err
