"""Which tickets granted a feature at any time between two positions of the log, and who granted it
to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from projections.audit.as_of import Then
from projections.audit.histories import Reader, TicketScan, histories
from projections.audit.projection import AuditEntry
from projections.audit.search import AuditFilter
from projections.tickets.search import TicketFilter


@dataclass(frozen=True, slots=True)
class Question:
    """Which feature; of all organisations and systems, or of one."""

    feature: str
    org_id: str | None = None
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A while for which a ticket granted the feature: the entry that granted it, which may lie
    before the stretch that was asked for, and the one that revoked it, None when none did by the
    stretch's end. `granted` is None where the view passes over that event."""

    granted: AuditEntry | None
    revoked: AuditEntry | None = None


@dataclass(frozen=True, slots=True)
class TicketGrants:
    """A ticket with its grants of the feature in the stretch, oldest first. `entry` says what the
    ticket held in the first moment of the stretch at which it granted the feature."""

    entry: AuditEntry
    grants: Sequence[Grant]


Place = str | int
"""How far the answer has come. Tickets that granted the feature when the stretch began come first,
by id: a ticket id. Then those that were granted it later, by position: a position."""


@dataclass(frozen=True, slots=True)
class GrantsPage:
    """`beyond` is the place past which the answer goes on; None when it is at its end."""

    tickets: Sequence[TicketGrants]
    beyond: Place | None


def grants_between(
    reader: Reader, question: Question, after: int, upto: int, *, beyond: Place | None, limit: int
) -> GrantsPage:
    """The tickets that granted the feature at position `after` or at any later one up to `upto`,
    each of them once. A page may end early, maybe empty: there is more for as long as `beyond` is
    not None."""
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
    where = AuditFilter(question.org_id, question.system, granted=question.feature)
    tickets: list[TicketGrants] = []

    def concerned(entry: AuditEntry) -> bool:
        """What was revoked first was granted before, and told of with all that was then."""
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
