"""Handing commands to the writer, and waiting for what becomes of them."""

import asyncio
from typing import Final

from api.http.errors.problems import Problem
from api.use_cases.service import Service
from domain.deciding import Outcome, Submission

RUNNING_SECONDS: Final = 5.0
"""How long a command waits for the first one with its idempotency key before it gets 409."""


class Submitter:
    """The commands of one process that are waiting for the log.

    They wait for as long as the log itself is patient. Made for one event loop: what the writer's
    thread says comes back to it in one hop, without a lock or a timer per command.
    """

    def __init__(self, service: Service) -> None:
        self._writer = service.writer
        self._running: dict[str, asyncio.Future[Outcome]] = {}

    async def submit(self, submission: Submission) -> Outcome:
        """What became of the submission, or its `Refusal`.

        A second command with the key of one still running waits for it, and then gets its answer.
        """
        if submission.key is None:
            return await self._hand_in(submission)
        key = submission.key.value
        if key in self._running:
            done, _ = await asyncio.wait([self._running[key]], timeout=RUNNING_SECONDS)
            if not done:
                raise Problem(
                    "command-in-progress",
                    "The first command with this Idempotency-Key is still running. "
                    "Repeat in a moment to get its answer.",
                    headers={"Retry-After": "1"},
                )
        future = self._hand_in(submission)
        if key not in self._running:
            self._running[key] = future
            future.add_done_callback(lambda _: self._running.pop(key))
        return await future

    def _hand_in(self, submission: Submission) -> asyncio.Future[Outcome]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()

        def settle(result: Outcome | Exception) -> None:
            if future.done():
                return  # the client went away; what was stored stays stored
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self._writer.hand_in(submission, lambda result: loop.call_soon_threadsafe(settle, result))
        return future
