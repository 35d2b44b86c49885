"""Submitting commands to the writer, and waiting for their outcome."""

import asyncio
from typing import Final

from api.use_cases.service import Service
from domain.deciding import Outcome, SubmissionList, Submitted
from domain.errors import CommandInProgress, Overloaded

RUNNING_SECONDS: Final = 5.0
"""Seconds for which a command waits for an earlier one with its idempotency key."""

LISTS: Final = 4
"""Lists that wait for the log at once. Each is a thousand commands, and single commands share its
commit: with more of them everybody would wait long."""

WAITING_LISTS: Final = 32
"""Lists that may wait for those. Each holds a thousand commands in memory."""


class Submitter:
    """The commands of one process that are waiting for the log.

    For use on one event loop. The writer's thread passes each result to the loop in one call,
    without a lock or a timer for each command.
    """

    def __init__(self, service: Service) -> None:
        self._writer = service.writer
        self._running: dict[str, asyncio.Future[Outcome]] = {}
        self._lists = asyncio.Semaphore(LISTS)
        self._waiting_lists = 0

    async def submit_list(self, submissions: SubmissionList) -> Outcome:
        """The outcome of a list. Raises the `Refusal` of a list that is accepted or refused as one,
        and `Overloaded` when `WAITING_LISTS` others wait for those at the log."""
        if self._lists.locked() and self._waiting_lists >= WAITING_LISTS:
            raise Overloaded("Too many batches are waiting; nothing was stored. Try later.")
        self._waiting_lists += 1
        try:
            await self._lists.acquire()
        finally:
            self._waiting_lists -= 1
        try:
            return await self.submit(submissions)
        finally:
            self._lists.release()

    async def submit(self, submission: Submitted) -> Outcome:
        """The outcome of the submission. Raises its `Refusal`.

        A command whose key belongs to a running command waits for that one and gets its answer.
        Raises `CommandInProgress` when that takes longer than `RUNNING_SECONDS`.
        """
        if submission.key is None:
            return await self._hand_in(submission)
        key = submission.key.value
        if key in self._running:
            done, _ = await asyncio.wait([self._running[key]], timeout=RUNNING_SECONDS)
            if not done:
                raise CommandInProgress(
                    "The first command with this Idempotency-Key is still running. "
                    "Repeat in a moment to get its answer."
                )
        future = self._hand_in(submission)
        if key not in self._running:
            self._running[key] = future
            future.add_done_callback(lambda _: self._running.pop(key))
        return await future

    def _hand_in(self, submission: Submitted) -> asyncio.Future[Outcome]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()

        def settle(result: Outcome | Exception) -> None:
            if future.done():
                return  # the client went away; its command stays stored
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self._writer.hand_in(submission, lambda result: loop.call_soon_threadsafe(settle, result))
        return future
