"""A projection as one process follows it: its versions, their runners, and the live one."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from domain.errors import StoreRefused
from domain.log.ports import Clock, EventLog
from projections.running.progress import Progress
from projections.running.projection import Leases, Parked, Projected, Projection, View
from projections.running.runner import Runner
from projections.running.runners import Runners
from projections.versions.registry import Registry, Versions

V = TypeVar("V", bound=View[Any])

FRESH: Final = 2.0
"""Seconds for which this process trusts the registry as it last read it. A version that was live
before a switch stays current while it is kept, so readers lose nothing. It must only not be deleted
before every process has read the registry again."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Followed(Generic[V]):
    """One version that follows the log. `progress` is the last known checkpoint of its view;
    `runner` is None in a process that runs no projections."""

    view: V
    projected: Projected[Any]
    progress: Progress
    runner: Runner[Any] | None

    def look(self) -> None:
        """Read the checkpoint of a view that another process keeps current."""
        if self.runner is None or not self.runner.leading:
            self.progress.advance(self.view.checkpoint())


class LiveProjection(Generic[V]):
    """The live version and the kept ones, each with a runner if there are `runners` for them.

    `unpublished` says why readers outside the service do not find the live version under its name;
    None while they do. It is tried again until they do.

    Call `look` whenever the store may have changed, and regularly besides.
    """

    def __init__(
        self,
        projection: Projection[Any],
        versions: Versions[V],
        log: EventLog,
        leases: Leases,
        clock: Clock,
        holder: Callable[[], str],
        *,
        runners: Runners | None,
    ) -> None:
        self.projection = projection
        self.versions = versions
        self._log = log
        self._leases = leases
        self._clock = clock
        self._holder = holder
        self._runners = runners
        self._lock = Lock()
        self._followed: dict[int, Followed[V]] = {}
        self._read_at = 0.0
        self.unpublished: str | None = None
        self._publish_at = 0.0
        self._parked: tuple[float, Mapping[str, Parked]] = (-FRESH, {})
        if runners:
            self._publish()
        self._refresh()

    @property
    def live_version(self) -> Followed[V]:
        """The version to show readers. Reads the registry again if it is older than `FRESH`."""
        known = self.known
        if known is None:
            self._refresh()
        return known or self._live

    @property
    def view(self) -> V:
        """The view to show readers. Asks the store which that is, if need be."""
        return self.live_version.view

    @property
    def known(self) -> Followed[V] | None:
        """The version to show readers; None if the registry must be read again first."""
        return self._live if monotonic() - self._read_at <= FRESH else None

    @property
    def followed(self) -> dict[int, Followed[V]]:
        """Every version that follows the log, by its number."""
        return dict(self._followed)

    def parked(self) -> Mapping[str, Parked]:
        """The parked tickets of the live version, as they were at most `FRESH` seconds ago."""
        at, parked = self._parked
        if monotonic() - at > FRESH:
            at, parked = monotonic(), self.view.parked()
            self._parked = at, parked
        return parked

    def projected(self, version: int) -> Projected[Any]:
        """A version together with its log, leases and clock."""
        view = self.versions.view(version)
        skipped = self.versions.skipped
        return Projected(self.projection, view, self._log, self._leases, self._clock, skipped)

    def look(self) -> None:
        """Read the registry, and the checkpoints of the versions that other processes keep
        current."""
        self._refresh()
        if self.unpublished and monotonic() >= self._publish_at:
            self._publish()
        for followed in self.followed.values():
            followed.look()

    def close(self) -> None:
        """Stop the runners."""
        with self._lock:
            for followed in self._followed.values():
                if followed.runner:
                    followed.runner.stop()
            self._runners = None

    def _publish(self) -> None:
        """A service that may not publish serves all the same: it says so, and tries again."""
        try:
            self.versions.publish()
            self.unpublished = None
        except StoreRefused as error:
            self.unpublished = str(error)
            self._publish_at = monotonic() + FRESH

    def _refresh(self) -> None:
        read_at, registry = monotonic(), self.versions.registry()
        with self._lock:
            if read_at < self._read_at:
                return  # another thread has read a newer one
            self._follow(registry)
            live, before = self._followed[registry.live], getattr(self, "_live", None)
            if self._runners and before and before.view.name != live.view.name:
                _log.info("projection.switched from=%s to=%s", before.view.name, live.view.name)
            self._live = live
            self._read_at = read_at

    def _follow(self, registry: Registry) -> None:
        wanted = (registry.live, *registry.kept)
        for version in wanted:
            if version not in self._followed:
                self._followed[version] = self._begin(version)
        for version in [v for v in self._followed if v not in wanted]:
            runner = self._followed.pop(version).runner
            if runner:
                runner.stop()

    def _begin(self, version: int) -> Followed[V]:
        projected = self.projected(version)
        view = self.versions.view(version)
        progress = Progress(view.checkpoint())
        runner = None
        if self._runners:
            runner = Runner(projected, self._runners, progress, self._holder())
            runner.start()
        return Followed(view, projected, progress, runner)
