"""Random questions to the audit log, and what each of them means."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from random import Random
from typing import Any

from infrastructure.stores import AuditView
from projections.audit import AuditEntry, AuditFilter
from projections.projection import Change
from tests.lives import FEATURES, SYSTEMS


def fill(view: AuditView, rows: Iterable[AuditEntry]) -> None:
    """Apply the entries, which follow each other without a gap."""
    coming = iter(rows)
    while chunk := list(islice(coming, 1_000)):
        written = [(row.ticket_id, row) for row in chunk]
        view.apply(Change(chunk[0].position - 1, chunk[-1].position, written), 0)


def matches(where: AuditFilter, row: AuditEntry) -> bool:
    """What a filter means, said once more and without any index."""
    wanted = [
        where.org_id in (None, row.org_id),
        where.system in (None, row.system),
        where.ticket_id in (None, row.ticket_id),
        where.actor in (None, row.actor),
        where.action in (None, row.action),
        where.correlation_id in (None, row.correlation_id),
        where.feature is None or where.feature in (*row.granted, *row.revoked),
        where.granted is None or where.granted in row.granted,
        where.revoked is None or where.revoked in row.revoked,
        where.text is None or where.text.casefold() in (row.reason or "").casefold(),
        where.since is None or row.recorded_at >= where.since,
        where.before is None or row.recorded_at < where.before,
        where.since_position is None or row.position >= where.since_position,
        where.before_position is None or row.position < where.before_position,
    ]
    return all(wanted)


def question(random: Random, rows: Sequence[AuditEntry]) -> AuditFilter:
    """Some filters at once: mostly what some entry has, so that there is something to find."""
    like, other = random.choice(rows), random.choice(rows)
    end = rows[-1].position + 9
    moments = sorted([random.choice(rows).recorded_at, random.choice(rows).recorded_at])
    places = sorted([random.randrange(end), random.randrange(end)])
    words = (like.reason or "new")[: random.randrange(1, 9)]
    every: dict[str, Any] = {
        "org_id": like.org_id,
        "system": random.choice((like.system, *SYSTEMS)),
        "ticket_id": like.ticket_id,
        "actor": random.choice((like.actor, other.actor, "nobody")),
        "action": like.action,
        "correlation_id": like.correlation_id,
        "feature": random.choice(FEATURES),
        "granted": random.choice((*like.granted, *FEATURES)),
        "revoked": random.choice((*like.revoked, *FEATURES)),
        "text": random.choice((words, words.upper(), "STRASSE", "%", "_", ".", "$x", "nowhere")),
        "since": moments[0] + timedelta(milliseconds=random.randrange(-1, 2)),
        "before": moments[1],
        "since_position": places[0],
        "before_position": places[1],
    }
    few = random.sample(list(every), random.choice((0, 1, 1, 2, 2, 2, 3, 3, 4, 6)))
    return replace(AuditFilter(None), **{name: every[name] for name in few})
