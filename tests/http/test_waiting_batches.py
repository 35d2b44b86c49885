"""Batches take turns at the log, and only so many wait."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from api.use_cases import submission
from api.use_cases.submission import Submitter
from domain.deciding import Outcome, SubmissionList, Submitted
from domain.errors import Overloaded
from infrastructure.log.writer import Writer
from tests.support.server import Served, serving
from tests.support.stories import create, id_

Tell = Callable[[Outcome | Exception], object]


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(f"sqlite:///{tmp_path_factory.mktemp('batches')}/store.db") as served:
        yield served


def a_list(number: int) -> SubmissionList:
    return SubmissionList(((create(id_(number)),),))


def test_more_batches_than_may_wait_are_turned_away_and_all_others_are_stored(
    running: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "LISTS", 2)
    monkeypatch.setattr(submission, "WAITING_LISTS", 3)
    held: list[tuple[Submitted, Tell]] = []
    hand_in = Writer.hand_in
    monkeypatch.setattr(Writer, "hand_in", lambda _, one, tell: held.append((one, tell)))

    async def crowd() -> list[Outcome | BaseException]:
        submitter = Submitter(running.service)
        sent = [asyncio.create_task(submitter.submit_list(a_list(n))) for n in range(6)]
        while not all(task.done() for task in sent):
            await asyncio.sleep(0.001)
            assert len(held) <= 2
            for one, tell in held[:1]:
                hand_in(running.service.writer, one, tell)
            del held[:1]
        return await asyncio.gather(*sent, return_exceptions=True)

    results = asyncio.run(crowd())
    assert [type(result) for result in results] == [*[Outcome] * 5, Overloaded]
    assert running.head == 5
