"""Where a change comes from: who asked, why, in which conversation, and when."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

MILLISECOND: Final = timedelta(milliseconds=1)
"""The precision every store keeps of times."""

_LAST: Final = datetime.max.replace(microsecond=999_000, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Origin:
    """Carried by every command and every event. No field has a default: nobody acts anonymously.

    - `actor`: the subject of the caller's credential, or the operator of a command line.
    - `reason`: the caller's own words, or None when none were given.
    - `correlation_id`: names the conversation (request id, trace id, migration run).
    - `causation_id`: the event or message that led to this one, or None for a first cause.
    - `occurred_at`: when the caller asked, in UTC with milliseconds.
    """

    actor: str
    reason: str | None
    correlation_id: str
    causation_id: str | None
    occurred_at: datetime


def milliseconds_up(moment: datetime) -> datetime:
    """The first whole millisecond, in UTC, that is not before the moment."""
    cut = milliseconds(moment)
    return cut + MILLISECOND if cut < moment < _LAST else cut


def milliseconds(moment: datetime) -> datetime:
    """The same moment in UTC, cut to milliseconds."""
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: 2025-10-28T09:30:00.123Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
