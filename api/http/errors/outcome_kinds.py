"""Problems of a request that was understood: the rules refuse it, or the service cannot do it
now."""

from http import HTTPStatus
from typing import Final

from api.http.errors.kind import Kind
from domain.errors import Fault

_ID: Final = "6b0417f93d8b903e28dcca9b"
_SAME_AGAIN: Final = "Repeat the request after the seconds in Retry-After."
_SAME_COMMAND: Final = (
    "Repeat the request after the seconds in Retry-After, a command with the same Idempotency-Key."
)

OUTCOME_KINDS: Final = (
    Kind(
        "ticket-not-found",
        HTTPStatus.NOT_FOUND,
        "There is no such ticket",
        "No ticket of your organisation has this id, or it did not exist at the moment that "
        "was asked about.",
        "Check the id. For a ticket that was just created, send `Min-Event-Position`.",
        f"There is no ticket {_ID}.",
    ),
    Kind(
        "ticket-not-parked",
        HTTPStatus.NOT_FOUND,
        "The ticket is not parked",
        "There is nothing to retry or skip: this projection has not parked the ticket.",
        "See `GET /v1/projections` for the tickets that are parked.",
        f"tickets has no parked ticket {_ID}.",
    ),
    Kind(
        "ticket-exists",
        HTTPStatus.CONFLICT,
        "The ticket exists already",
        "A ticket with this id was created before.",
        "Read the ticket, and change it if need be.",
        f"There is already a ticket {_ID}.",
    ),
    Kind(
        "ticket-retired",
        HTTPStatus.CONFLICT,
        "The ticket is retired",
        "A retired ticket cannot be changed.",
        "Restore it first: `POST /v1/tickets/{ticket_id}/restore`.",
        f"Ticket {_ID} is retired. Restore it before changing it.",
    ),
    Kind(
        "command-in-progress",
        HTTPStatus.CONFLICT,
        "The first command is still running",
        "A command with the same Idempotency-Key has not been answered yet.",
        "Repeat it after the seconds in Retry-After: you then get the answer of the first.",
        "The first command with this Idempotency-Key is still running. "
        "Repeat in a moment to get its answer.",
    ),
    Kind(
        "projection-taken-over",
        HTTPStatus.CONFLICT,
        "Somebody else took the projection",
        "Another process took over the view while this request changed it.",
        "Look at `GET /v1/projections`, and repeat the request if it is still needed.",
        "Somebody else took over tickets. Look at its status and start again.",
    ),
    Kind(
        "operation-running",
        HTTPStatus.CONFLICT,
        "The same is being done already",
        "An operation of this kind is running on this projection.",
        "Wait for its end; `GET /v1/operations` shows how far it is.",
        "There is an operation of this kind on tickets already. "
        "See /v1/operations, and wait for its end.",
    ),
    Kind(
        "version-unknown",
        HTTPStatus.CONFLICT,
        "The projection has no such version",
        "There is no version to switch back to, or no rebuild to control.",
        "See `GET /v1/projections` for the versions there are.",
        "tickets has no earlier version to go back to. One is kept after each rebuild, "
        "until drop-old.",
    ),
    Kind(
        "log-ahead-of-clock",
        HTTPStatus.CONFLICT,
        "The log cannot tell what was true then",
        "The clock of a machine was ahead once, and the log with it. What happened until the "
        "clocks had come so far is recorded at a later time, so the log cannot tell what was true "
        "at a moment in between.",
        "Ask by position instead, or for a moment outside of these times.",
        "The log ran ahead of the clock: what happened from 2026-11-29T09:00:00.000Z on is "
        "recorded at 2026-11-29T12:00:00.000Z or later, so nobody can say what was true at "
        "2026-11-29T10:00:00.000Z. Ask by position, or for a time outside of these.",
    ),
    Kind(
        "ticket-gone",
        HTTPStatus.GONE,
        "The ticket is retired",
        "The ticket existed and is retired: it grants nothing any more.",
        "Its `/history` says who retired it; its `/restore` brings it back.",
        f"Ticket {_ID} is retired. POST to its /restore to have it back; "
        "its /history says who retired it.",
    ),
    Kind(
        "version-conflict",
        HTTPStatus.PRECONDITION_FAILED,
        "The ticket has changed since",
        "The version in If-Match is not the ticket's version: somebody changed it after you "
        "read it. `currentVersion` is the version now.",
        "Read the ticket again, decide on its present content, and send the new ETag.",
        f"Ticket {_ID} is at version 2, not 1. Read it again and decide on what it holds now.",
        version=2,
    ),
    Kind(
        "invalid-name",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The name is not usable",
        "The name is empty, longer than 200 characters, or holds control characters.",
        "Choose another name.",
        "The name is empty.",
        (Fault("/name", "invalid-name", "The name is empty."),),
    ),
    Kind(
        "invalid-features",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The features are not usable",
        "A ticket holds at most 500 features, and no feature is granted and revoked at once.",
        "Send fewer features, or divide them among several tickets; name each in one list only.",
        "501 features were sent; at most 500 are allowed.",
        (
            Fault(
                "/features",
                "invalid-features",
                "501 features were sent; at most 500 are allowed.",
            ),
        ),
    ),
    Kind(
        "unknown-system",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "There is no such system",
        "The catalogue has no system of this name.",
        "`GET /v1/systems` lists the systems.",
        "There is no system 'workforce'. Did you mean 'workforce_2'?",
        (
            Fault(
                "/system",
                "unknown-system",
                "There is no system 'workforce'. Did you mean 'workforce_2'?",
            ),
        ),
    ),
    Kind(
        "unknown-feature",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The system lacks a feature",
        "The catalogue lists no such feature for this system.",
        "`GET /v1/systems/{system}` lists the features of a system.",
        "revolution_counter_1 has no feature 'delete_machines'. Did you mean 'delete_machine'?",
        (
            Fault(
                "/features/1",
                "unknown-feature",
                "revolution_counter_1 has no feature 'delete_machines'. "
                "Did you mean 'delete_machine'?",
            ),
        ),
    ),
    Kind(
        "key-reused",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The key stands for another command",
        "This Idempotency-Key was sent before with another command.",
        "Send a new key with a new command, and the same key with the same command only.",
        "This idempotency key was first used for a different command. Use a new key for a new one.",
    ),
    Kind(
        "internal-error",
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "The service failed",
        "Something failed that nobody foresaw.",
        "Tell the operator the id in the detail: the service's log has the failure under it.",
        "The failure is in the service's log under 0af7651916cd43dd8448eb211c80319c.",
    ),
    Kind(
        "store-unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The store does not answer",
        "The store did not answer in time. A command may or may not have been stored.",
        _SAME_COMMAND,
        "The store does not answer. Try again; a command may or may not have been stored: "
        "repeat it with the same Idempotency-Key.",
    ),
    Kind(
        "store-damaged",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The store holds something unreadable",
        "Something that is stored, and that this request needs, cannot be read. Nothing was "
        "changed.",
        "Tell the operator the id in the detail. Requests that do not need it are answered.",
        "Something that is stored cannot be read, and nothing was changed. What it is stands in "
        "the service's log under 0af7651916cd43dd8448eb211c80319c.",
    ),
    Kind(
        "ticket-unreadable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "An event of the ticket cannot be read",
        "A stored event of this ticket cannot be read: a newer version of the service wrote it, or "
        "it is damaged. Other tickets are not affected.",
        "Tell the operator: the service's log names the event.",
        f"The event at position 17, of ticket {_ID}, cannot be read: a newer version of the "
        "service wrote it, or it is damaged. Nothing was stored.",
    ),
    Kind(
        "row-unreadable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "A row of the view is damaged",
        "Something else changed a row of the view, so the answer would not be complete. The log, "
        "from which views are computed, is not affected.",
        "Tell the operator, who repairs the row: `ticketbook projections verify --repair`.",
        f"The row {_ID} of tickets is damaged, and with it this answer would not be complete. "
        "What the log holds is not touched.",
    ),
    Kind(
        "signing-key-missing",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "There is no key to sign with",
        "Heads and exports are signed, and this service has no usable key.",
        "Ask its operator to set `TICKETBOOK_SIGNING_KEY`.",
        "This service has no key to sign with. Its operator must set TICKETBOOK_SIGNING_KEY.",
    ),
    Kind(
        "overloaded",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too much is waiting",
        "More requests are waiting than the service can serve in time. Nothing was done.",
        _SAME_COMMAND,
        "Too many commands are waiting; nothing was stored. Try later.",
    ),
    Kind(
        "projection-behind",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The view is not there yet",
        "The view cannot show the event in `Min-Event-Position` yet, or the ticket is parked.",
        f"{_SAME_AGAIN} If it lasts, `/readyz` says why.",
        "tickets stands at position 41, not yet at 42. "
        "Try again in a moment; if it stays behind, see /v1/projections.",
    ),
)
