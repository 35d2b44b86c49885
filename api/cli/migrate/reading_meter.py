"""How far a command is that reads every record of the old system."""

from typing import Final

from api.cli.migrate.printing import say_notice
from api.cli.progress import Meter
from infrastructure.migration.notices import Notice, Started
from infrastructure.migration.source import TICKETS

_TELL_EVERY: Final = 1_000
"""Records between two looks at the clock."""


class ReadingMeter:
    """A line on stderr: records read, of how many."""

    def __init__(self) -> None:
        self._meter = Meter()
        self._total = 0

    def notify(self, notice: Notice) -> None:
        if isinstance(notice, Started):
            self._total = notice.total
        else:
            self.end()
            say_notice(notice)

    def tell(self, number: int) -> None:
        if number % _TELL_EVERY == 0 or number == self._total:
            self._meter.tell(TICKETS, number, max(self._total, number))

    def end(self) -> None:
        self._meter.end()
