"""The overview at the head of the OpenAPI document: the conventions that all routes share."""

from typing import Final

from api.http.request.paging import DEFAULT_LIMIT, MOST

OVERVIEW: Final = f"""\
Tickets are bundles of permission features that an organisation hands to its users; every change of
one is an event, with its author, time and reason.

**Callers.** Send `Authorization: Bearer TOKEN`: a JWT with `sub`, `org`, `scope` and `exp`. Each
route names the one scope that it requires. The organisation comes from the token alone; platform
staff (`org` is `*`) choose one with the parameter `org` where a route has it.

**Positions.** The log numbers its events 1, 2, 3 … A command answers with the `Event-Position` of
its event. Send that as `Min-Event-Position` with a read, and the read shows the event or answers
503: it is never older.

**Conditions.** A ticket has a version, and its `ETag` says which: `"3"`. Changing or retiring one
needs `If-Match` with the ETag that was read, or `*` for any: 428 without, 412 when somebody changed
it since. A read with `If-None-Match` answers 304 while nothing changed.

**Keys.** A command with an `Idempotency-Key` (up to 200 printable ASCII characters, of your choice)
may safely be repeated: it then answers as it did the first time, with `Idempotent-Replayed: true`.
Keys are private to their caller and kept for ever. A key that comes back with another command is
422 `key-reused`.

**Lists.** A page holds `limit` items, {DEFAULT_LIMIT} unless asked and at most {MOST:,}. `next` is
the `cursor` of the next page and null on the last one; the header `Link` has its address. A cursor
belongs to the filters that it was given for. Each list says its order, and what a page looks at.

**Times** are ISO 8601 in UTC with milliseconds, like `2026-11-23T10:39:53.473Z`. A time that is
sent needs its zone, and `+` is written `%2B` in an address.

**Problems.** Every error is a problem document (RFC 9457, `application/problem+json`) with a `code`
out of a closed list, a `detail` that says what to do, and in `errors` the faults, each with a
pointer to a part of the request. [/problems](/problems) explains each code. What is not known here
is refused and not passed over: query parameters, fields of a body, names of systems and features.
A 503 and some 409 have `Retry-After`.

**Correlation.** Send `X-Request-ID` or `traceparent`: the answer echoes it, and the event keeps it.
"""
