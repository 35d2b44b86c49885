"""Processes that are forked from a server which has everything imported already: their work begins
at once, and kills fall into it, not into the start of Python."""

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, get_context
from typing import Final
from unittest.mock import patch

from api.use_cases import workers

FORKS: Final = get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        *("api.cli.projections.group", "api.cli.migrate.group", "api.composition"),
        *("infrastructure.mongodb.stores", "infrastructure.sqlite.stores"),
        *("pytest", "tests.support.killing"),
    ]
)


@contextmanager
def forked_workers() -> Iterator[None]:
    """Fork the workers of this process until the block ends: as they are started everywhere else,
    each takes a second to import what it runs."""
    with patch.object(workers, "PROCESSES", FORKS):
        yield


def end_fork_server() -> None:
    """So that its processor time, and that of its children, is this process's children's."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
