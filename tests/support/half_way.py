"""`ticketbook` in a process of its own that takes some batches of records over, says so, and waits
there for whatever is done to it: kills fall half way, however busy the machine is.

A process of its own translates for it, as for a large source; the batches are small.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, Final
from unittest.mock import patch

from tests.support.command import clean_environment
from tests.support.server import SECRET

BATCH: Final = 100
"""Records in a batch."""

_BATCHES: Final = 3
"""Batches that are taken over before it waits."""

_HERE: Final = "half way\n"
_PATIENCE: Final = 60.0


@contextmanager
def half_way(*arguments: str, store: str) -> Iterator["subprocess.Popen[str]"]:
    """The command, once it is half way. It must have ended when the block ends, or soon after."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.half_way", *arguments],
        env=clean_environment(store, {"TICKETBOOK_AUTH_SECRET": SECRET}),
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        said = ""
        while _HERE not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        try:
            yield process
            process.wait(_PATIENCE)
        finally:
            process.kill()


def small_batches() -> None:
    """Have even a small source translated in a process of its own, in batches of few records."""
    from infrastructure.migration import importer, translators

    patch.object(importer, "_BATCH_RECORDS", BATCH).start()
    patch.object(translators, "_MANY", 1).start()


def main() -> None:
    from api.cli.main import main as ticketbook
    from infrastructure.migration.importer import Importer

    small_batches()
    settle, settled = Importer._settle, 0

    def settle_some(*arguments: Any) -> Any:
        nonlocal settled
        overtaken = settle(*arguments)
        settled += 1
        if settled == _BATCHES:
            print(_HERE, end="", file=sys.stderr, flush=True)
            Event().wait()
        return overtaken

    patch.object(Importer, "_settle", settle_some).start()
    ticketbook()


if __name__ == "__main__":
    main()
