"""The work of a rebuild that other processes do."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from projections.versions.expected import At
from projections.versions.registry import Build
from projections.versions.verification import ViewMismatch, ViewReport


class Builders(Protocol):
    """The builders of all partitions of one build, while they run."""

    def reached(self) -> int:
        """The position of the builder that is furthest behind, as the builders report it; the
        build's target once all have ended. Raises the error that one of them failed with."""


class Workers(Protocol):
    """Runs the work that keeps a processor busy, beside the process that asks for it."""

    def build(self, projection: str, build: Build) -> AbstractContextManager[Builders]:
        """Start to build every partition of the build; leaving the context stops the builders."""

    def verify(self, projection: str, version: int, at: At) -> ViewReport:
        """The report of `verification.verify` about a version."""

    def compare(self, projection: str, live: int, new: int, at: At) -> Sequence[ViewMismatch]:
        """The mismatches that `verification.compare` finds between two versions."""
