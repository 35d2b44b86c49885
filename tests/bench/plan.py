"""How long a benchmark run takes."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Plan:
    """Each contestant runs `rounds` times for `seconds`; long logs have `events` events and old
    systems as many records, those of SQLite's audit pages ten times as many events, and are asked
    so many `questions`. `others` says whether products that have to be installed or started first
    take part too."""

    rounds: int
    seconds: float
    events: int
    others: bool = True
    questions: int = 400


FULL: Final = Plan(rounds=5, seconds=2.0, events=1_000_000)
QUICK: Final = Plan(rounds=2, seconds=1.0, events=50_000)
