"""Handing commands to the writer, and waiting for what becomes of them."""

import asyncio
from typing import Final

from api.composition import Service
from api.http.problems import Problem
from domain.errors import StoreUnavailable
from infrastructure.writer import Outcome, Submission

ANSWER_SECONDS: Final = 40.0
"""How long a command waits for the log; the log itself gives up sooner."""

RUNNING_SECONDS: Final = 5.0
"""How long a command waits for the first one with its idempotency key before it gets 409."""


class Submitter:
    """The commands of one process that are waiting for the log, by idempotency key."""

    def __init__(self, service: Service) -> None:
        self._writer = service.writer
        self._running: dict[str, asyncio.Future[Outcome]] = {}

    async def submit(self, submission: Submission) -> Outcome:
        """What became of the submission, or its `Refusal`.

        A second command with the key of one still running waits for it, and then gets its answer.
        """
        key = submission.key.value if submission.key else None
        if key is not None and key in self._running:
            done, _ = await asyncio.wait([self._running[key]], timeout=RUNNING_SECONDS)
            if not done:
                raise Problem(
                    "command-in-progress",
                    "The first command with this Idempotency-Key is still running. "
                    "Repeat in a moment to get its answer.",
                    headers={"Retry-After": "1"},
                )
        future = asyncio.wrap_future(self._writer.submit(submission))
        if key is not None and key not in self._running:
            self._running[key] = future
            future.add_done_callback(lambda _: self._running.pop(key))
        done, _ = await asyncio.wait([future], timeout=ANSWER_SECONDS)
        if not done:
            raise StoreUnavailable(
                "The log did not answer in time. The command may or may not have been stored: "
                "repeat it with the same Idempotency-Key."
            )
        return future.result()
