"""Reads that are themselves recorded: nobody gets an answer that is not in the journal."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from api.http.request.callers import Call
from domain.origin import milliseconds
from infrastructure.journal.entries import JournalEntry

Found = TypeVar("Found")


async def journaled(call: Call, action: str, reading: Awaitable[Found]) -> Found:
    """What `reading` finds, once it is durable who asked, and with which parameters. Both go on
    at the same time. Raises `StoreUnavailable` where it cannot be kept."""
    kept = record(call, action)
    try:
        return await reading
    finally:
        await kept


def record(
    call: Call, action: str, details: Mapping[str, Any] | None = None
) -> "asyncio.Future[None]":
    """Done once it is durable that the caller did this; `details` are what a body asked for."""
    return asyncio.wrap_future(call.service.journal.submit(entry(call, action, details)))


def entry(call: Call, action: str, details: Mapping[str, Any] | None = None) -> JournalEntry:
    """That the caller did this."""
    return JournalEntry(
        at=milliseconds(call.service.clock()),
        actor=call.caller.subject,
        org_id=call.caller.org_id,
        action=action,
        details={**call.request.path_params, **call.request.query_params, **(details or {})},
        correlation_id=call.request.state.correlation_id,
    )
