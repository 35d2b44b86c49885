"""Problems of a request that no rule has looked at yet: its token, address, headers and body."""

from http import HTTPStatus
from typing import Final

from api.http.errors.kind import Kind
from domain.errors import Fault

_SIGN_IN: Final = "Get a new token from whoever issues yours, and repeat the request with it."

REQUEST_KINDS: Final = (
    Kind(
        "malformed-json",
        HTTPStatus.BAD_REQUEST,
        "The body is not JSON",
        "The body cannot be parsed: a syntax error, another encoding than UTF-8, or nesting "
        "that is too deep.",
        "Correct the body. The detail says where parsing ended.",
        "The body is not JSON: Expecting value.",
    ),
    Kind(
        "invalid-parameter",
        HTTPStatus.BAD_REQUEST,
        "A parameter or header is wrong",
        "A path or query parameter or a header has a wrong value, is not known here, or was "
        "given twice.",
        "Correct what `errors` names. `/docs` lists the parameters of each route.",
        "There is no query parameter 'sytem'. Did you mean 'system'?",
        (
            Fault(
                "/query/sytem",
                "unknown-parameter",
                "There is no query parameter 'sytem'. Did you mean 'system'?",
            ),
        ),
    ),
    Kind(
        "token-missing",
        HTTPStatus.UNAUTHORIZED,
        "A bearer token is required",
        "The request has no header `Authorization` with a bearer token.",
        "Send `Authorization: Bearer TOKEN`.",
        "Send a token in the header: Authorization: Bearer TOKEN",
    ),
    Kind(
        "token-invalid",
        HTTPStatus.UNAUTHORIZED,
        "The token is not accepted",
        "The token is damaged, not signed by the issuer, meant for somebody else, or lacks a "
        "required claim.",
        f"{_SIGN_IN} The detail names the claim that is wrong.",
        "The token has no claim 'org': it is required. Get a new token.",
    ),
    Kind(
        "token-expired",
        HTTPStatus.UNAUTHORIZED,
        "The token has expired",
        "The time in the token's claim `exp` is past.",
        _SIGN_IN,
        "The token has expired. Get a new one.",
    ),
    Kind(
        "token-not-yet-valid",
        HTTPStatus.UNAUTHORIZED,
        "The token is not valid yet",
        "The time in the token's claim `nbf` is still to come.",
        "Wait until then, or set the issuer's clock right.",
        "The token is not valid yet: try later.",
    ),
    Kind(
        "scope-missing",
        HTTPStatus.FORBIDDEN,
        "The token lacks a scope",
        "The token is good, but its claim `scope` does not allow this route.",
        "Ask whoever issues your token for the scope that the detail names.",
        "The token's scope lacks tickets:write.",
    ),
    Kind(
        "organisation-required",
        HTTPStatus.FORBIDDEN,
        "The token names no organisation",
        "A new ticket belongs to the caller's organisation, and platform staff have none.",
        "Use a token of the organisation that the ticket is for.",
        "A ticket belongs to the caller's organisation, and this token names none. "
        "Use a token of the organisation that the ticket is for.",
    ),
    Kind(
        "platform-staff-only",
        HTTPStatus.FORBIDDEN,
        "Only platform staff may ask that",
        "The request names another organisation than the token does.",
        "Leave `org` out to see your own organisation.",
        "Only platform staff may ask for another organisation. Leave org out to see your own.",
    ),
    Kind(
        "not-found",
        HTTPStatus.NOT_FOUND,
        "There is nothing here",
        "No route has this address, or the thing it names does not exist.",
        "Check the address; `/docs` lists the routes.",
        "There is nothing at /v1/ticket. The routes are listed at /docs.",
    ),
    Kind(
        "method-not-allowed",
        HTTPStatus.METHOD_NOT_ALLOWED,
        "The method is not allowed here",
        "The address exists, but not for this method.",
        "Use a method that the header `Allow` lists.",
        "PUT is not possible at /v1/tickets.",
    ),
    Kind(
        "body-too-large",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is too large",
        "The body has more than 1 MiB.",
        "Send less at a time.",
        "The body is limited to 1048576 bytes. Send less at a time.",
    ),
    Kind(
        "address-too-long",
        HTTPStatus.REQUEST_URI_TOO_LONG,
        "The address is too long",
        "The path or the query has more bytes than the service reads.",
        "Ask for less at a time. `docs/clients.md` lists the limits.",
        "A path is limited to 4096 bytes.",
    ),
    Kind(
        "head-too-large",
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The head of the request is too large",
        "The first line and the headers have more than 64 KiB together, or there are more than "
        "100 headers. After 64 KiB the service closes the connection.",
        "Send fewer and shorter headers.",
        "The first line and the headers of a request are limited to 65536 bytes together. "
        "Send less.",
    ),
    Kind(
        "request-timeout",
        HTTPStatus.REQUEST_TIMEOUT,
        "The request did not arrive in time",
        "The head of the request took more than 10 seconds, or its body more than 30. The service "
        "closes the connection.",
        "Send the request again, or send less at a time.",
        "The body did not arrive within 30 s. Send the request again.",
    ),
    Kind(
        "unsupported-media-type",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "JSON is required",
        "The body is not called JSON.",
        "Send the header `Content-Type: application/json`.",
        "Send the body as JSON, with Content-Type: application/json.",
    ),
    Kind(
        "invalid-body",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The body has the wrong shape",
        "The body is JSON, but a field is missing, unknown, or of the wrong type.",
        "Correct what `errors` names. `/docs` has an example of every body.",
        "/system: Field required",
        (Fault("/system", "missing", "Field required"),),
    ),
    Kind(
        "precondition-required",
        HTTPStatus.PRECONDITION_REQUIRED,
        "If-Match is required",
        "Changing or retiring a ticket needs the version that you decided on.",
        "Send `If-Match` with the ETag of the ticket as you read it.",
        "Send If-Match with the ETag of the ticket as you read it, so that nobody's change is "
        "overwritten unseen.",
    ),
    Kind(
        "issuer-unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The issuer does not answer",
        "The token cannot be checked, because its issuer does not hand out its keys.",
        "Repeat the request after the seconds in Retry-After: the token may be good.",
        "The issuer https://login.example.org does not hand out its keys. Try again in a moment.",
    ),
)
