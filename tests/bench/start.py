"""How long commands take that hardly do anything: the time to start."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

from tests.bench.plan import Plan
from tests.bench.table import Part, Row, at_most

_PYDANTIC: Final = (sys.executable, "-c", "import pydantic")
_COMMAND: Final = str(Path(sys.executable).with_name("ticketbook"))
_TOKEN: Final = ("token", "--sub", "ada", "--org", "52f22665a60c12d289185d95")
_RUNS: Final = 4
"""Pairs of runs in a round: a start is short, and the first ones find nothing in memory."""

_STARTS: Final = (
    (("--help",), 3.0),
    ((*_TOKEN, "--scope", "audit:read"), 4.0),
    (("catalogue", "check"), 4.0),
)
"""Each command, with how many times the time of `import pydantic` it may take."""


@dataclass(frozen=True, slots=True)
class Run:
    """In milliseconds: how long a run took, and how much of a processor."""

    took: float
    processor: float


def start(folder: Path, plan: Plan) -> Part:
    """Commands and `import pydantic` in turns, so that both find the same machine."""
    environment = os.environ | {
        "TICKETBOOK_STORE": f"sqlite:///{folder / 'start.db'}",
        "TICKETBOOK_AUTH_SECRET": "a secret of the benchmark, long enough to sign",
    }
    rows = [
        _compared(arguments, times, plan.rounds * _RUNS, environment)
        for arguments, times in _STARTS
    ]
    return Part(
        tuple(rows),
        (
            'start: the baseline is python -c "import pydantic"; shown are the shortest run, the '
            "median of all and the median of their processor time, whose ratio it is: that "
            "does not depend on what else the machine does.",
        ),
    )


def _compared(
    arguments: Sequence[str], times: float, runs: int, environment: dict[str, str]
) -> Row:
    pairs = [
        (_run((_COMMAND, *arguments), environment), _run(_PYDANTIC, environment))
        for _ in range(runs)
    ]
    ours, baseline = [run for run, _ in pairs], [run for _, run in pairs]
    what = f"start of ticketbook {' '.join(arguments[:2])}, {runs} runs"
    row = at_most(what, _processor(ours), _processor(baseline), times)
    return replace(row, ours=_described(ours), baseline=_described(baseline))


def _processor(runs: Sequence[Run]) -> float:
    return median(run.processor for run in runs)


def _described(runs: Sequence[Run]) -> str:
    times = [run.took for run in runs]
    return f"{min(times):.0f} / {median(times):.0f} / {_processor(runs):.0f} ms"


def _run(command: Sequence[str], environment: dict[str, str]) -> Run:
    started = perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    took = perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed")
    return Run(took * 1000, (used.ru_utime + used.ru_stime) * 1000)
