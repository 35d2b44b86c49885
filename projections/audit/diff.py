"""The difference between two positions of the log, ticket by ticket, and the entries that made
it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from projections.audit.histories import Reader, TicketScan
from projections.audit.projection import AuditEntry, TicketContent
from projections.audit.search import AuditFilter


@dataclass(frozen=True, slots=True)
class TicketDiff:
    """One ticket, compared at two positions. Each change names the entry that made it; the last
    one, if several did. A change that was undone in between does not count.

    - `before`, `after`: None where there was no ticket.
    - `granted`, `revoked`: the features that the ticket's holders gained and lost.
    """

    ticket_id: str
    org_id: str | None
    system: str | None
    before: TicketContent | None
    after: TicketContent | None
    added: AuditEntry | None
    retired: AuditEntry | None
    restored: AuditEntry | None
    renamed: AuditEntry | None
    granted: Sequence[tuple[str, AuditEntry]]
    revoked: Sequence[tuple[str, AuditEntry]]

    @property
    def is_any(self) -> bool:
        """True if the ticket differs at all."""
        changes = (self.added, self.retired, self.restored, self.renamed)
        return any(changes) or bool(self.granted or self.revoked)


@dataclass(frozen=True, slots=True)
class TicketDiffPage:
    """A page of differences. `beyond` is the position after which the comparison goes on; None at
    its end."""

    diffs: Sequence[TicketDiff]
    beyond: int | None


def ticket_diffs(
    reader: Reader, where: AuditFilter, after: int, upto: int, *, beyond: int | None, limit: int
) -> TicketDiffPage:
    """The tickets that `where` matches and that differ between positions `after` and `upto`, in the
    order of their first changes in between.

    `where` may only name values that hold for all entries of a ticket. A page may be short or
    empty: there is more while its `beyond` is not None.
    """
    diffs: list[TicketDiff] = []

    def concerned(entry: AuditEntry) -> bool:
        """True unless the entry is from before a quarantined record became a ticket: it has no
        owner yet."""
        return where.org_id in (None, entry.org_id) and where.system in (None, entry.system)

    scan = TicketScan(reader, where, after, upto, beyond=beyond, concerned=concerned)
    for _, history in scan:
        if (changed := ticket_diff(history)).is_any:
            diffs.append(changed)
            if len(diffs) == limit:
                break
    return TicketDiffPage(diffs, scan.beyond)


def ticket_diff(entries: Sequence[AuditEntry]) -> TicketDiff:
    """The difference that one ticket's entries, oldest first, add up to."""
    first, last = entries[0], entries[-1]
    before, after = first.before, last.after
    held_before, held_after = _in_force(before), _in_force(after)
    was_retired, is_retired = bool(before and before.retired), bool(after and after.retired)
    return TicketDiff(
        ticket_id=last.ticket_id,
        org_id=last.org_id,
        system=last.system,
        before=before,
        after=after,
        added=_last(e for e in entries if e.before is None and e.after) if not before else None,
        retired=_last(e for e in entries if _turned(e, True))
        if is_retired and not was_retired
        else None,
        restored=_last(e for e in entries if _turned(e, False))
        if was_retired and not is_retired
        else None,
        renamed=_renamed(entries) if before and after and before.name != after.name else None,
        granted=[
            (feature, entry)
            for feature in held_after
            if feature not in held_before
            and (entry := _last(e for e in entries if feature in e.granted))
        ],
        revoked=[
            (feature, entry)
            for feature in held_before
            if feature not in held_after
            and (entry := _last(e for e in entries if feature in e.revoked))
        ],
    )


def _in_force(content: TicketContent | None) -> Sequence[str]:
    return content.features if content and not content.retired else ()


def _turned(entry: AuditEntry, retired: bool) -> bool:
    """True if the entry retired its ticket; with `retired` False, if it restored it."""
    was = bool(entry.before and entry.before.retired)
    return entry.after is not None and (was, entry.after.retired) == (not retired, retired)


def _renamed(entries: Sequence[AuditEntry]) -> AuditEntry | None:
    return _last(e for e in entries if e.before and e.after and e.before.name != e.after.name)


def _last(entries: Iterable[AuditEntry]) -> AuditEntry | None:
    return max(entries, key=lambda entry: entry.position, default=None)
