"""Who asked, and who did what: nobody gets an answer before that is durable."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from api.use_cases.service import Service
from domain.origin import milliseconds
from infrastructure.journal.entries import JournalEntry

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: a caller of the service, or the user that runs a command. `org_id` is
    None for platform staff and operators."""

    name: str
    org_id: str | None
    correlation_id: str


def journal_entry(
    service: Service, actor: Actor, action: str, details: Mapping[str, Any]
) -> JournalEntry:
    """The entry for `action`, like `audit.searched`, done now; `details` are JSON values."""
    return JournalEntry(
        at=milliseconds(service.clock()),
        actor=actor.name,
        org_id=actor.org_id,
        action=action,
        details=details,
        correlation_id=actor.correlation_id,
    )


async def record(service: Service, entry: JournalEntry) -> None:
    """Return once the entry is durable. Raises `StoreUnavailable` where it cannot be kept."""
    await asyncio.wrap_future(service.journal.submit(entry))


async def journaled(
    service: Service, entry: JournalEntry, read: Callable[[], Awaitable[Answer]]
) -> Answer:
    """The answer of `read`, once the entry is durable. The entry is submitted first; then both go
    on at the same time. Raises `StoreUnavailable` where the entry cannot be kept."""
    recording = asyncio.wrap_future(service.journal.submit(entry))
    try:
        return await read()
    finally:
        await recording
