"""References of users of the old system: `<system>.ticket`, a ticket of that system that should
be of the organisation `<system>.orgId`."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bson import ObjectId

from infrastructure.migration.bson import fields_of
from infrastructure.migration.chunks import chunks
from infrastructure.migration.targets import Target

DANGLING: Final = "dangling-reference"
WRONG_ORGANISATION: Final = "wrong-organisation"
QUARANTINED: Final = "quarantined-reference"

_REFERENCES: Final = 1_000
"""References whose tickets are looked up together."""


@dataclass(frozen=True, slots=True)
class Reference:
    user: str
    system: str
    ticket: str
    org_id: str


@dataclass(frozen=True, slots=True)
class BadReference:
    """`kind` is one of the three above."""

    kind: str
    reference: Reference
    detail: str


def bad_references(
    users: Iterable[bytes], find: Callable[[Collection[str]], Mapping[str, Target]]
) -> Iterator[BadReference]:
    """The references that do not resolve, given the tickets that there are."""
    references = (reference for user in users for reference in references_of(user))
    for chunk in chunks(references, _REFERENCES):
        targets = find({reference.ticket for reference in chunk})
        for reference in chunk:
            if bad := judge(reference, targets.get(reference.ticket)):
                yield bad


def references_of(user: bytes) -> Iterator[Reference]:
    """Every `<system>.ticket` of a user that names anything at all."""
    fields = fields_of(user)
    for system, part in fields.items():
        if isinstance(part, dict) and part.get("ticket") is not None:
            ticket, org_id = _text(part["ticket"]), _text(part.get("orgId"))
            yield Reference(_text(fields.get("_id")), system, ticket, org_id)


def judge(reference: Reference, target: Target | None) -> BadReference | None:
    """Why the reference does not resolve; None when it does."""
    if target is None:
        return BadReference(DANGLING, reference, "there is no such ticket")
    if target.reason is not None:
        return BadReference(QUARANTINED, reference, target.reason)
    if target.system != reference.system:
        detail = f"the ticket is of the system {target.system}"
        return BadReference(DANGLING, reference, detail)
    if target.org_id != reference.org_id:
        detail = f"the ticket is of the organisation {target.org_id}"
        return BadReference(WRONG_ORGANISATION, reference, detail)
    return None


def _text(value: Any) -> str:
    """Ids as text; the old system takes 24 hexadecimal digits for an ObjectId too."""
    if isinstance(value, str) and ObjectId.is_valid(value):
        return value.lower()
    return str(value)
