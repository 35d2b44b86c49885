"""Putting load on something, and what came out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from threading import Barrier, Thread
from time import perf_counter

from tests.bench.plan import Plan


@dataclass(frozen=True, slots=True)
class Sample:
    """`rate` per second; half and 99 % of all took at most `p50` and `p99` milliseconds."""

    rate: float
    p50: float
    p99: float


Contestant = Callable[[float], Sample]
"""Works for about so many seconds."""


def sample(milliseconds: Sequence[float], seconds: float) -> Sample:
    if not milliseconds:
        raise RuntimeError(f"nothing was finished within {seconds:.1f} s")
    ordered = sorted(milliseconds)
    return Sample(
        len(ordered) / seconds, ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    )


def threads(act: Callable[[], object], writers: int) -> Contestant:
    """`writers` threads, each doing `act` over and over."""

    def run(seconds: float) -> Sample:
        taken: list[list[float]] = [[] for _ in range(writers)]
        failures: list[BaseException] = []
        start = Barrier(writers + 1)

        def work(mine: list[float]) -> None:
            start.wait()
            now = perf_counter()
            until = now + seconds
            try:
                while now < until:
                    act()
                    before, now = now, perf_counter()
                    mine.append((now - before) * 1_000)
            except BaseException as error:
                failures.append(error)

        workers = [Thread(target=work, args=(mine,), daemon=True) for mine in taken]
        for worker in workers:
            worker.start()
        start.wait()
        began = perf_counter()
        for worker in workers:
            worker.join()
        if failures:
            raise failures[0]
        return sample([one for mine in taken for one in mine], perf_counter() - began)

    return run


def interleave(contestants: Mapping[str, Contestant], plan: Plan) -> dict[str, Sample]:
    """Let all run in turns and take each one's median round, figure by figure.

    Other work on the machine then hits everybody alike; every other round goes backwards, so
    that nobody always runs after the same neighbour. A first short turn warms up.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contestants}
    for run in contestants.values():
        run(plan.seconds / 4)
    for number in range(plan.rounds):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            samples[name].append(contestants[name](plan.seconds))
    return {name: _median(taken) for name, taken in samples.items()}


def _median(samples: Sequence[Sample]) -> Sample:
    return Sample(
        median(one.rate for one in samples),
        median(one.p50 for one in samples),
        median(one.p99 for one in samples),
    )
