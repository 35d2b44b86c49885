"""Commands in processes that are killed as `kill -9` does, many times over."""

import os
import sys
from pathlib import Path
from random import Random
from typing import Final

from tests.support.forks import FORKS

_PROMPT: Final = 60.0
"""Seconds in which a command that nobody kills must end."""


def _run(arguments: list[str], environment: dict[str, str], said: Path) -> None:
    from api.cli.main import main

    os.environ.update(environment)
    with said.open("a") as heard:
        os.dup2(heard.fileno(), 1)
        os.dup2(heard.fileno(), 2)
    sys.argv = ["ticketbook", *arguments]
    main()


class Command:
    """A command line that is run again and again. `said` collects all its output."""

    def __init__(self, arguments: list[str], environment: dict[str, str], folder: Path) -> None:
        self._arguments = arguments
        self._environment = environment
        self.said = folder / "said.txt"
        self.ended = 0
        self.killed = 0

    def kill_after(self, seconds: float) -> None:
        """Run it, and kill it after so long unless it ended before."""
        process = FORKS.Process(target=_run, args=(self._arguments, self._environment, self.said))
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
            self.killed += 1
        else:
            self.ended += 1
        process.join()
        assert process.exitcode in (0, -9), self.said.read_text()
        process.close()

    def kill_times(self, times: int, within: float, seed: int) -> None:
        """Kill it that many times, each at a random moment of its first seconds."""
        random = Random(seed)
        while self.killed < times:
            self.kill_after(random.random() * within)

    def finish(self) -> None:
        """Run it to its end, which must be a good one."""
        process = FORKS.Process(target=_run, args=(self._arguments, self._environment, self.said))
        process.start()
        process.join(_PROMPT)
        alive = process.is_alive()
        process.kill()
        process.join()
        assert not alive and process.exitcode == 0, self.said.read_text()
        process.close()
