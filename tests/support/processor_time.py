"""How long a run of the tests took, by a clock and by the processors."""

import resource
from time import monotonic
from typing import Final

import pytest

_STARTED: Final = monotonic()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the processor time of this process and of all its children that have ended: workers,
    services, commands, MongoDB servers. It says what a run costs also when other work slows the
    clock."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    user, system = sum(one.ru_utime for one in used), sum(one.ru_stime for one in used)
    terminalreporter.write_line(
        f"{monotonic() - _STARTED:.0f} s by the clock; {user + system:.0f} s of processor time "
        f"(user {user:.0f}, system {system:.0f}) of this process and all children"
    )
