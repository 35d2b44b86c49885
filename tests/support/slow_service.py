"""`ticketbook serve` with projections that dawdle, for what must hold even then.

python -m tests.support.slow_service serve --port 0
"""

from collections.abc import Callable
from dataclasses import replace
from random import random
from time import sleep
from typing import Final, TypeVar

from api import composition
from api.cli.main import main
from domain.ticket.events import Recorded
from projections.audit.projection import AUDIT
from projections.running.projection import Projection
from projections.tickets.projection import TICKETS

LONGEST: Final = 0.03
"""Seconds that one event in twenty is held up for, at most."""

Row = TypeVar("Row")


def slowed(projection: Projection[Row]) -> Projection[Row]:
    def project(row: Row | None, recorded: Recorded) -> Row | None:
        if random() < 0.05:
            sleep(random() * LONGEST)
        return projection.project(row, recorded)

    slow: Callable[[Row | None, Recorded], Row | None] = project
    return replace(projection, project=slow)


if __name__ == "__main__":
    vars(composition).update(TICKETS=slowed(TICKETS), AUDIT=slowed(AUDIT))
    main()
