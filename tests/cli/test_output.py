"""How far work is, as a terminal shows it and as a file keeps it."""

import io
import sys
from collections.abc import Callable
from itertools import count

import pytest

from api.cli import output, progress
from api.cli.output import Line, say
from api.cli.progress import Meter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Say what time it is."""
    now = [0.0]
    monkeypatch.setattr(output, "monotonic", lambda: now[0])

    def set_to(seconds: float) -> None:
        now[0] = seconds

    return set_to


def test_a_terminal_shows_one_line_that_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, line = Terminal(), Line()
    monkeypatch.setattr(sys, "stderr", screen)
    line.show("building: 10 of 20")
    line.show("ended")
    assert line.end()
    assert not line.end()
    assert screen.getvalue() == "\rbuilding: 10 of 20\rended             \n"


def test_a_terminal_shows_five_lines_a_second_of_a_kind_and_the_last(
    monkeypatch: pytest.MonkeyPatch, at: Callable[[float], None]
) -> None:
    screen, line = Terminal(), Line()
    monkeypatch.setattr(sys, "stderr", screen)
    for tenth in range(5):
        at(tenth / 10)
        line.show(f"building: {tenth}")
    line.show("building: 5")
    assert line.end()
    shown = ["building: 0", "building: 2", "building: 4", "building: 5"]
    assert screen.getvalue() == "".join(f"\r{text}" for text in shown) + "\n"


def test_a_meter_tells_of_each_kind_of_work_its_rate_and_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = count()
    monkeypatch.setattr(progress, "monotonic", lambda: next(seconds))
    meter = Meter()
    meter.tell("ticket_1", 0, 1_200)
    meter.tell("users", 600, 1_200, "3 odd")
    meter.position(1_000, 3_000)
    meter.lines(1_500)
    meter.end()
    assert capsys.readouterr().err.splitlines() == [
        "ticket_1: 0 of 1,200",
        "users: 600 of 1,200, 600/s, 1 s left; 3 odd",
        "position 1000 of 3000, 1,000 events/s, 2 s left",
        "1500 lines, 1,500 lines/s",
    ]


def test_a_file_keeps_a_line_of_each_kind_now_and_then_and_the_last(
    capsys: pytest.CaptureFixture[str], at: Callable[[float], None]
) -> None:
    line = Line()
    for second in range(25):
        at(second)
        line.show(f"building: {second} of 24")
    line.show("comparing: 1 of 24")
    line.show("comparing: 24 of 24")
    line.show("switching")
    line.show("switching")
    assert line.end()
    assert not line.end()
    assert capsys.readouterr().err.splitlines() == [
        "building: 0 of 24",
        "building: 10 of 24",
        "building: 20 of 24",
        "building: 24 of 24",
        "comparing: 1 of 24",
        "comparing: 24 of 24",
        "switching",
    ]


def test_what_is_told_once_stands_once(
    capsys: pytest.CaptureFixture[str], at: Callable[[float], None]
) -> None:
    line = Line()
    line.show("4 lines")
    assert line.end()
    line.show("4 lines")
    assert line.end()
    assert capsys.readouterr().err == "4 lines\n4 lines\n"


def test_what_else_is_said_stands_in_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str], at: Callable[[float], None]
) -> None:
    output.LINE.show("building: 1 of 9")
    output.LINE.show("building: 2 of 9")
    say("\nInterrupted.")
    assert capsys.readouterr().err == "building: 1 of 9\nbuilding: 2 of 9\nInterrupted.\n"
