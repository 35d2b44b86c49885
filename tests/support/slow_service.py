"""A service with slow projections, which looks often at which version is live: for what must hold
even then.

python -m tests.support.slow_service serve --port 0
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import sleep
from typing import Any, Final, TypeVar
from unittest.mock import patch

from api import composition
from domain.ticket.events import Recorded
from projections.audit.projection import AUDIT
from projections.running.projection import Projection
from projections.tickets.projection import TICKETS
from projections.versions import followed

SLOW_EVERY: Final = 20
"""One event in so many is held up."""

SLOW_SECONDS: Final = 0.03
"""How long it is held up: many reads arrive meanwhile."""

FRESH: Final = 0.05
"""Seconds for which the service believes what it read of the registry of versions."""

Row = TypeVar("Row")


def slow(projection: Projection[Row]) -> Projection[Row]:
    """The projection, held up at every twentieth position of the log."""

    def project(row: Row | None, recorded: Recorded) -> Row | None:
        if recorded.position % SLOW_EVERY == 0:
            sleep(SLOW_SECONDS)
        return projection.project(row, recorded)

    held_up: Callable[[Row | None, Recorded], Row | None] = project
    return replace(projection, project=held_up)


@contextmanager
def slow_projections() -> Iterator[None]:
    """Until the block ends, every service that is opened in this process is slow."""
    slowed: dict[str, Any] = {"TICKETS": slow(TICKETS), "AUDIT": slow(AUDIT)}
    with patch.multiple(composition, **slowed), patch.object(followed, "FRESH", FRESH):
        yield


if __name__ == "__main__":
    from api.cli.main import main

    with slow_projections():
        main()
