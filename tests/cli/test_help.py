"""Help, version, completion, and the check of a token."""

import json
from pathlib import Path

import pytest

from api.cli.output import Exit
from tests.support.command import run, run_process

ORG = "52f22665a60c12d289185d95"
SECRET = "a secret of a test: 0123456789abcdef"


def test_help_lists_the_exit_codes() -> None:
    _, out, _ = run("--help")
    for code in Exit:
        assert f"{code.value:>3}  {code.meaning}\n" in out


@pytest.mark.parametrize(
    "command", ["", "tickets", "tickets list", "audit verify", "migrate adopt"]
)
def test_h_is_help(command: str) -> None:
    words = command.split()
    assert run(*words, "-h") == run(*words, "--help")
    assert run(*words, "-h")[0] == 0


def test_the_version_is_printed() -> None:
    code, out, err = run("--version")
    assert (code, out.split()[0], err) == (0, "ticketbook", "")
    assert out.split()[1][0].isdigit()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str) -> None:
    code, out, _ = run("completion", shell)
    assert (code, "_TICKETBOOK_COMPLETE" in out) == (0, True)
    assert run("completion", "csh")[0] == 2


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("ticketbook ti", ["tickets"]),
        ("ticketbook tickets re", ["retire", "restore"]),
        ("ticketbook projections parked ", ["list", "retry", "skip"]),
        ("ticketbook audit search --order ", ["newest", "oldest"]),
    ],
)
def test_a_shell_completes_commands(line: str, completed: list[str]) -> None:
    environment = {
        "_TICKETBOOK_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    code, out, err = run_process(**environment)
    assert (code, out.split(), err) == (0, completed, "")


def checked(
    token: str, *options: str, stdin: str = "", secret: str = SECRET
) -> tuple[int, str, str]:
    return run("token", "--check", token, *options, stdin=stdin, TICKETBOOK_AUTH_SECRET=secret)


def test_a_good_token_is_explained() -> None:
    make = ("token", "--sub", "ada", "--org", ORG, "--scope", "audit:read tickets:read")
    token = run(*make, TICKETBOOK_AUTH_SECRET=SECRET)[1].strip()
    code, out, err = checked(token)
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split() == ["ada", ORG, "audit:read", "tickets:read"]
    body = {"good": True, "sub": "ada", "org": ORG, "scopes": ["audit:read", "tickets:read"]}
    assert json.loads(checked("-", "--json", stdin=f"{token}\n")[1]) == body


def test_a_bad_token_is_refused_with_the_reason_and_without_the_token(tmp_path: Path) -> None:
    token = run(
        *("token", "--sub", "ada", "--org", ORG, "--scope", "migrate"),
        TICKETBOOK_AUTH_SECRET=SECRET,
    )[1].strip()
    code, out, err = checked(token, secret=SECRET[::-1])
    assert (code, out) == (1, "")
    assert "token-invalid: The signature of the token does not fit" in err
    for wrong in ("nonsense", "", "x" * 100_000, f"{token}x"):
        code, out, err = checked(wrong)
        assert (code, out) == (1, "")
        assert token not in err and len(err) < 1_000
    body = json.loads(checked("nonsense", "--json")[1])
    assert (body["good"], body["code"]) == (False, "token-invalid")


def test_a_token_is_checked_or_made() -> None:
    assert run("token", "--check", "x", "--sub", "ada", TICKETBOOK_AUTH_SECRET=SECRET)[0] == 2
    code, _, err = run("token", "--sub", "ada", "--org", ORG, TICKETBOOK_AUTH_SECRET=SECRET)
    assert (code, "'--scope'" in err) == (2, True)
