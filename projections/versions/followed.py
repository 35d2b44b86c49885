"""A projection as one process sees it: its versions, who keeps them current, and which is live."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from domain.log.ports import Clock, EventLog
from projections.running.progress import Progress
from projections.running.projection import Leases, Projected, Projection, View
from projections.running.runner import Runner
from projections.versions.registry import Registry, Versions

V = TypeVar("V", bound=View[Any])

FRESH: Final = 2.0
"""Seconds for which this process believes what it last read of the registry. A version that was
switched from is current for as long as it is kept, so this costs readers nothing; it must only
not be deleted before everybody has looked again."""


@dataclass(frozen=True, slots=True)
class Followed(Generic[V]):
    """One version: `progress` is how far its view is known to be; `runner` is None where
    projections are not run."""

    view: V
    projected: Projected[Any]
    progress: Progress
    runner: Runner[Any] | None

    def look(self) -> None:
        """See how far the view is when another process keeps it current."""
        if self.runner is None or not self.runner.leading:
            self.progress.advance(self.view.checkpoint())


class LiveProjection(Generic[V]):
    """The live version and those that are kept, each followed by a runner (unless `run` is False).

    `look` must be called as soon as something may have changed, and every now and then.
    """

    def __init__(
        self,
        projection: Projection[Any],
        versions: Versions[V],
        log: EventLog,
        leases: Leases,
        clock: Clock,
        head: Progress,
        holder: Callable[[], str],
        *,
        run: bool,
    ) -> None:
        self.projection = projection
        self.versions = versions
        self._log = log
        self._leases = leases
        self._clock = clock
        self._head = head
        self._holder = holder
        self._run = run
        self._lock = Lock()
        self._followed: dict[int, Followed[V]] = {}
        self._read_at = 0.0
        if run:
            versions.publish()
        self._refresh()

    @property
    def live_version(self) -> Followed[V]:
        """The version to show readers. Asks the store if need be."""
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
        """The version to show readers, unless the store must be asked again which that is."""
        return self._live if monotonic() - self._read_at <= FRESH else None

    @property
    def followed(self) -> dict[int, Followed[V]]:
        """Every version that follows the log, by its number."""
        return dict(self._followed)

    def projected(self, version: int) -> Projected[Any]:
        """A version with everything needed to work on it."""
        view = self.versions.view(version)
        skipped = self.versions.skipped
        return Projected(self.projection, view, self._log, self._leases, self._clock, skipped)

    def look(self) -> None:
        """See which versions there are, and how far those are that others keep current."""
        self._refresh()
        for followed in self.followed.values():
            followed.look()

    def close(self) -> None:
        """Stop the runners."""
        with self._lock:
            for followed in self._followed.values():
                if followed.runner:
                    followed.runner.stop()
            self._run = False

    def _refresh(self) -> None:
        read_at, registry = monotonic(), self.versions.registry()
        with self._lock:
            if read_at < self._read_at:
                return  # somebody has looked since
            self._follow(registry)
            self._live = self._followed[registry.live]
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
        if self._run:
            runner = Runner(projected, self._head, progress, self._holder())
            runner.start()
        return Followed(view, projected, progress, runner)
