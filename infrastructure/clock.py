"""The clock of a running service."""

from datetime import UTC, datetime


def now() -> datetime:
    """This moment, in UTC. Rules never ask it: they are handed a clock, or a moment."""
    return datetime.now(UTC)
