"""How the fuzzer gets past the gate: of what it makes up, much becomes something that exists.

Loaded by schemathesis. What has the wrong shape stays as it is: that must be refused.
"""

import os
import re
from collections.abc import MutableMapping
from typing import Any, Final

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.specs.openapi.checks import use_after_free

IDS: Final = os.environ["KNOWN_TICKETS"].split()
HEAD: Final = int(os.environ["KNOWN_HEAD"])

_ID: Final = re.compile("[0-9a-f]{24}")
_WHEN: Final = r"[0-9]{1,15}|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].{1,40}"
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_FARTHEST: Final = 2**53
_LONGEST_CURSOR: Final = 200
_LONGEST_NAME: Final = 200
_KNOWN: Final = {
    "system": "workforce_2",
    "action": "ticket.created",
    "feature": "get_all",
    "granted": "get_all",
    "revoked": "get_all",
}


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    _name_a_ticket(case.path_parameters or {})
    _name_a_position(case.headers or {})
    _quote_the_version(case.headers or {})
    _forget_the_cursor(case.query or {})
    _name_one_time(case.query or {})
    _stay_in_the_past(case.query or {})
    _filter_by_known_names(case.query or {})
    _name_a_system(case.body)


@schemathesis.check
def gone_once_retired(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """What was retired is gone, except from its history and from the past."""
    past = {"at", "position", "version"} & set(case.query or {})
    if past or case.path.endswith("/history"):
        return None
    return use_after_free(ctx, response, case)


def _name_a_ticket(path: MutableMapping[str, Any]) -> None:
    ticket_id = str(path.get("ticket_id", ""))
    if _ID.fullmatch(ticket_id) and not ticket_id.endswith("f"):
        path["ticket_id"] = IDS[int(ticket_id, 16) % len(IDS)]


def _name_a_position(headers: MutableMapping[str, Any]) -> None:
    """One beyond the head is answered 503, truly."""
    _name_a_position_in(headers, "Min-Event-Position")


def _quote_the_version(headers: MutableMapping[str, Any]) -> None:
    """Some of the fuzzer's ETags lose their quotes on the way."""
    given = str(headers.get("If-Match", ""))
    if given.isdigit():
        headers["If-Match"] = f'"{given}"'


def _forget_the_cursor(query: MutableMapping[str, Any]) -> None:
    """Nobody can make one up."""
    given = query.get("cursor")
    if isinstance(given, str) and len(given) <= _LONGEST_CURSOR:
        del query["cursor"]


def _name_one_time(query: MutableMapping[str, Any]) -> None:
    """Several are refused, and no schema can say so."""
    for name in ("position", "version"):
        if "at" in query or (name == "version" and "position" in query):
            query.pop(name, None)
    if "nameContains" in query or query.get("retired") == "true":  # they ask about the present
        query.pop("at", None)
        query.pop("position", None)


def _stay_in_the_past(query: MutableMapping[str, Any]) -> None:
    """What is to come is refused."""
    for name in ("at", "on"):
        at = query.get(name)
        if isinstance(at, str) and _DAY.match(at) and at[:4] >= "2020":
            query[name] = f"2020{at[4:]}"
    for name in ("position", "from", "to"):
        _name_a_position_in(query, name)
    if all(re.fullmatch(_WHEN, str(query.get(name, "0"))) for name in ("from", "to")):
        query.update({"from": "0"} if "from" in query else {})
        query.update({"to": str(HEAD)} if "to" in query else {})


def _filter_by_known_names(query: MutableMapping[str, Any]) -> None:
    """A name that nobody knows is refused, and no schema can say so."""
    for name, known in _KNOWN.items():
        given = query.get(name)
        if isinstance(given, str) and len(given) <= _LONGEST_NAME:
            query[name] = known


def _name_a_position_in(query: MutableMapping[str, Any], name: str) -> None:
    given = str(query.get(name, ""))
    if re.fullmatch("[0-9]{1,16}", given) and int(given) <= _FARTHEST:
        query[name] = str(int(given) % (HEAD + 1))


def _name_a_system(body: Any) -> None:
    match body:
        case {"name": str(name), "system": str()} if len(name) % 4:
            body["system"] = "workforce_2"
    match body:
        case {"features": [*given]} if all(isinstance(one, str) for one in given):
            if len(given) % 4:
                body["features"] = (["get_all", "get_one"] * len(given))[: len(given)]
