"""Notices to an operator, while a use case of a migration goes on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Started:
    """About `total` records are read from here on."""

    total: int


@dataclass(frozen=True, slots=True)
class OtherSources:
    """Records of the system came from these sources too, so none is noted as gone."""

    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class NoUsers:
    """The source has no users, so no references are looked at."""

    source: str


Notice = Started | OtherSources | NoUsers
Notify = Callable[[Notice], None]
