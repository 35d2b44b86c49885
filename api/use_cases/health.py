"""Looking at everything that this service vouches for: store and file, leases, lag and parked
tickets, clocks, catalogue, issuer, descriptors and disk."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import structlog

from api.use_cases.projections import statuses as read_statuses
from api.use_cases.service import Service
from domain.errors import LegacyUsersUnavailable
from infrastructure.configuration.addresses import SQLiteStore
from infrastructure.machine import descriptors_problem, disk_problem
from projections.versions.status import ProjectionStatus

Level = Literal["ready", "degraded", "unready"]

LAG_SECONDS: Final = 30.0
"""Age of the oldest event that a view does not show, from which an operator is told."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, in a sentence for operators; with `serves` False nobody should be
    sent to this process."""

    sentence: str
    serves: bool = True


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the service. `projections` is empty when the store does not answer."""

    projections: Sequence[ProjectionStatus]
    problems: Sequence[Problem]

    @property
    def level(self) -> Level:
        """The word for strangers: `degraded` still serves."""
        if not all(problem.serves for problem in self.problems):
            return "unready"
        return "degraded" if self.problems else "ready"

    def with_problem(self, sentence: str) -> "Health":
        """The same with one more problem, with which it still serves."""
        return replace(self, problems=[*self.problems, Problem(sentence)])


def unhealthy(sentence: str) -> Health:
    """The health of a service that cannot even be looked at."""
    return Health((), [Problem(sentence, serves=False)])


def look(service: Service) -> Health:
    """The health now. Asks store, files, old users and issuer: it may take as long as these do.
    Raises `TicketbookError` when the store does not answer."""
    projections = read_statuses(service)
    problems = [problem for status in projections for problem in _of_projection(service, status)]
    problems += _clocks(service)
    looks: Sequence[Callable[[Service], str | None]] = (
        _legacy_users,
        _catalogue,
        lambda service: service.tokens.problem(),
        lambda _: descriptors_problem(),
        _disk,
    )
    problems += [Problem(sentence) for each in looks if (sentence := each(service))]
    return Health(projections, problems)


def _of_projection(service: Service, status: ProjectionStatus) -> Iterator[Problem]:
    live, runner = status.live_version, service.projections[status.name].live_version.runner
    failing = runner and runner.problem
    if live.state == "down" or failing:
        why = f"{failing}" if failing else "no runner holds its lease"
        if failing:
            _log.error("projection.down", projection=status.name, problem=why)
        yield Problem(f"Projection {status.name} is down: {why}.", serves=False)
    elif live.lag_seconds > LAG_SECONDS:
        yield Problem(
            f"Projection {status.name} is {live.lag_events} events behind the log: the oldest of "
            f"them has waited {live.lag_seconds:.0f} s."
        )
    if unpublished := service.projections[status.name].unpublished:
        yield Problem(
            f"Other services may find an old version of {status.name} in the store: {unpublished}"
        )
    if live.parked:
        yield Problem(
            f"Projection {status.name} has {len(live.parked)} parked ticket(s): "
            "see ticketbook projections status."
        )


def _clocks(service: Service) -> Iterator[Problem]:
    if (difference := service.times.problem()) is not None:
        yield Problem(difference, serves=not service.times.refuses_commits())
    if ahead := service.times.ahead():
        yield Problem(
            f"The log ends {ahead.total_seconds():.0f} s ahead of the clock: what happens until "
            "then is recorded at that time, and questions about times in between are refused. "
            "Set the clocks of all machines right."
        )


def _legacy_users(service: Service) -> str | None:
    if service.legacy is None:
        return None
    try:
        service.legacy.users.check()
    except LegacyUsersUnavailable:
        return "The legacy user database does not answer: old clients get 503."
    return None


def _catalogue(service: Service) -> str | None:
    service.catalogue.current()  # looks at the file
    problem = service.catalogue.problem
    return f"The catalogue in force is an old one: {problem}" if problem else None


def _disk(service: Service) -> str | None:
    store = service.settings.store
    return disk_problem(store.path) if isinstance(store, SQLiteStore) else None
