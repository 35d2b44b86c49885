"""A piece of work on a view that keeps a processor busy."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from domain.errors import StoreUnavailable
from infrastructure.configuration.settings import Settings
from infrastructure.stores import Stores
from projections.versions.expected import At

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Work = Callable[[Stores, At], T]
"""The work. The second argument reports a position, and raises once nobody wants the result."""

OpenStores = Callable[[Settings], AbstractContextManager[Stores]]
"""Opens the store that the settings name; a function of a module, as each process imports it."""


class Worker(Protocol[T_co]):
    """One piece of work that was started."""

    @property
    def position(self) -> int:
        """The position that it reported last."""

    def ended(self, seconds: float) -> bool:
        """Listen to it for at most so long; True once it has a result, or has failed."""

    def result(self) -> T_co:
        """The result, once it has ended. Raises `StoreUnavailable` with its failure."""

    def close(self) -> None:
        """Interrupt it, if it has not ended, and wait until it has."""


class Unwanted(Exception):
    """Nobody wants the result any more."""


def ended_early(why: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"The work on the view ended early: {why}. "
        "Repeat the command: it goes on where that stopped."
    )
