"""The progress of a rebuild, and its outcome."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from projections.running.projection import Parked
from projections.versions.verification import ViewMismatch, ViewReport

Phase = Literal["building", "paused", "catching up", "comparing", "switched"]


@dataclass(frozen=True, slots=True)
class Step:
    """The progress of a rebuild: its phase, the position reached, and the head of the log."""

    phase: Phase
    position: int
    head: int
    events_per_second: float


State = Literal["switched", "compared", "refused", "cancelled"]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The outcome of a rebuild.

    - `state`: `switched`; `compared` after a dry run; `refused` when the new version is not what
      the log says, or parks tickets that the live one shows; `cancelled` by an operator.
    - `live`: the rows of the version that was live that are not what the log says.
    - `new`: the comparison of the new version with the log; None when cancelled.
    - `parked`: the tickets that the new version parks and the live one does not.
    """

    state: State
    version: int
    position: int
    live: Sequence[ViewMismatch]
    new: ViewReport | None
    parked: Sequence[Parked] = ()


Tell = Callable[[Step], None]
