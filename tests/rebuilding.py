"""Rebuilding in the test's own process, without processes for the shares."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from projections.applier import Applier
from projections.build import build_share
from projections.live import LiveProjection
from projections.rebuild import Builders, Rebuilt, StartBuilders, Step, rebuild
from projections.versions import Build


class _Done:
    def check(self) -> None:
        """Nothing failed, or it would have been raised at once."""


def at_once(projection: LiveProjection[Any]) -> StartBuilders:
    """Builds every share before anything else happens."""

    @contextmanager
    def start(name: str, build: Build) -> Iterator[Builders]:
        for number in range(build.shares):
            projected = projection.projected(build.version)
            build_share(projected, projection.versions, build, number, lambda: True)
        yield _Done()

    return start


def rebuilt(
    projection: LiveProjection[Any],
    head: Callable[[], int],
    *,
    shares: int = 2,
    tell: Callable[[Step], None] = lambda _: None,
    dry_run: bool = False,
) -> Rebuilt:
    return rebuild(projection, head, "operator", at_once(projection), shares, tell, dry_run=dry_run)


def catch_up(applier: Applier[Any]) -> None:
    while applier.step():
        pass
