"""The tickets that granted a feature at any time between two positions of the log, and who granted
it to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from projections.audit.as_of import Then
from projections.audit.histories import Reader, TicketScan, histories
from projections.audit.projection import AuditEntry
from projections.audit.search import AuditFilter
from projections.tickets.search import TicketFilter


@dataclass(frozen=True, slots=True)
class Question:
    """The feature, and the organisation and the system in question; None stands for all."""

    feature: str
    org_id: str | None = None
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A period in which a ticket granted the feature.

    - `granted`: the entry that granted it, maybe from before the range in question; None if the
      view skips that event.
    - `revoked`: the entry that revoked it; None if there is none up to the end of the range.
    """

    granted: AuditEntry | None
    revoked: AuditEntry | None = None


@dataclass(frozen=True, slots=True)
class TicketGrants:
    """A ticket with its grants of the feature in a range of positions, oldest first. `entry` is the
    state of the ticket when it first granted the feature in that range."""

    entry: AuditEntry
    grants: Sequence[Grant]


Place = str | int
"""The place that an answer has reached. Tickets that granted the feature at the start of the range
come first, by ticket id; then the place is an id. Tickets that granted it only later follow, by
position; then the place is a position."""


@dataclass(frozen=True, slots=True)
class GrantsPage:
    """A page of tickets. `beyond` is the place after which the answer goes on; None at its end."""

    tickets: Sequence[TicketGrants]
    beyond: Place | None


def grants_between(
    reader: Reader, question: Question, after: int, upto: int, *, beyond: Place | None, limit: int
) -> GrantsPage:
    """The tickets that granted the feature at position `after` or at a later one up to `upto`, each
    once. A page may be short or empty: there is more while its `beyond` is not None."""
    if isinstance(beyond, int):
        return _granted_later(reader, question, after, upto, beyond, limit)
    where = TicketFilter(question.org_id, question.system, None, question.feature)
    page = reader.tickets_at(after, where, beyond=beyond, limit=limit)
    held = {then.entry.ticket_id: then for then in page.tickets}
    later_entries = histories(reader, held, after, upto)
    tickets = [_from_the_start(then, later_entries, question.feature) for then in page.tickets]
    if page.beyond is not None:
        return GrantsPage(tickets, page.beyond)
    if len(tickets) == limit:
        return GrantsPage(tickets, after)
    later = _granted_later(reader, question, after, upto, after, limit - len(tickets))
    return GrantsPage([*tickets, *later.tickets], later.beyond)


def _granted_later(
    reader: Reader, question: Question, after: int, upto: int, beyond: int, limit: int
) -> GrantsPage:
    where = AuditFilter(org_id=question.org_id, system=question.system, granted=question.feature)
    tickets: list[TicketGrants] = []

    def concerned(entry: AuditEntry) -> bool:
        """True for a grant or a revocation. A ticket whose first such entry is a revocation granted
        the feature at the start, and was in an earlier page."""
        return question.feature in entry.granted or question.feature in entry.revoked

    scan = TicketScan(reader, where, after, upto, beyond=beyond, concerned=concerned)
    for entry, history in scan:
        tickets.append(TicketGrants(entry, _grants((), history, question.feature)))
        if len(tickets) == limit:
            break
    return GrantsPage(tickets, scan.beyond)


def _from_the_start(
    then: Then, later_entries: Mapping[str, Sequence[AuditEntry]], feature: str
) -> TicketGrants:
    history = later_entries.get(then.entry.ticket_id, ())
    return TicketGrants(then.entry, _grants((Grant(then.granted_by),), history, feature))


def _grants(
    before: Sequence[Grant], history: Sequence[AuditEntry], feature: str
) -> Sequence[Grant]:
    grants = list(before)
    for entry in history:
        if feature in entry.granted:
            grants.append(Grant(entry))
        elif feature in entry.revoked:
            grants[-1] = Grant(grants[-1].granted, entry)
    return grants
