"""Refusals in the old contract: a status, and `{"error": …}`."""

from typing import Final

import structlog
from starlette.exceptions import HTTPException

from domain.errors import (
    LegacyUsersUnavailable,
    Overloaded,
    ProjectionBehind,
    Refusal,
    StoreUnavailable,
    TicketIsRetired,
    TicketNotFound,
)
from infrastructure.legacy_access.tokens import TokenRefused

_NO_ANSWER: Final = (
    "The ticket store does not answer. A change may or may not have been stored: "
    "look at the ticket before trying again."
)

_log = structlog.get_logger(__name__)


class LegacyRefusal(Exception):
    """The old contract's own words, and the HTTP status that they come with."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


NOT_FOUND: Final = (404, "Not found")
NO_TICKET: Final = (404, "Ticket not found or access denied")


def explain(error: Exception, failed: str, correlation_id: str) -> tuple[int, str]:
    """The status and the sentence for a failed call. An error that nobody foresaw goes into the
    log under `correlation_id`; the caller reads no more than `failed`."""
    match error:
        case LegacyRefusal():
            return error.status, error.error
        case TokenRefused():
            return 401, str(error)
        case TicketNotFound() | TicketIsRetired():
            return NO_TICKET
        case Refusal():
            return 400, error.detail
        case LegacyUsersUnavailable() | Overloaded() | ProjectionBehind():
            return 503, str(error)
        case StoreUnavailable():  # its message may contain the store's address
            _log.error("store.unavailable", problem=str(error), request_id=correlation_id)
            return 503, _NO_ANSWER
        case HTTPException():
            return error.status_code, str(error.detail)
        case _:
            _log.error("legacy.failed", request_id=correlation_id, exc_info=error)
            return 500, failed
