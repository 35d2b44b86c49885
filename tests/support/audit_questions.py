"""Random questions to the audit log, and what each of them means."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from random import Random
from typing import Any

from infrastructure.stores import AuditView
from projections.audit.projection import AuditEntry
from projections.audit.search import AuditFilter
from projections.running.projection import ViewChange
from tests.support.histories import FEATURES, SYSTEMS


def fill(view: AuditView, rows: Iterable[AuditEntry]) -> None:
    """Apply the entries, which follow each other without a gap."""
    coming = iter(rows)
    while chunk := list(islice(coming, 1_000)):
        written = [(row.ticket_id, row) for row in chunk]
        view.apply(ViewChange(chunk[0].position - 1, chunk[-1].position, written), 0)


def matching(where: AuditFilter, rows: Sequence[AuditEntry]) -> list[AuditEntry]:
    """What a filter means, said once more and without any index."""
    w = where
    tests: list[tuple[object, Callable[[AuditEntry], bool]]] = [
        (w.org_id, lambda row: row.org_id == w.org_id),
        (w.system, lambda row: row.system == w.system),
        (w.ticket_id, lambda row: row.ticket_id == w.ticket_id),
        (w.actor, lambda row: row.actor == w.actor),
        (w.action, lambda row: row.action == w.action),
        (w.correlation_id, lambda row: row.correlation_id == w.correlation_id),
        (w.feature, lambda row: w.feature in row.granted or w.feature in row.revoked),
        (w.granted, lambda row: w.granted in row.granted),
        (w.revoked, lambda row: w.revoked in row.revoked),
        (w.text, lambda row: (w.text or "").casefold() in (row.reason or "").casefold()),
        (w.since, lambda row: w.since is None or row.recorded_at >= w.since),
        (w.before, lambda row: w.before is None or row.recorded_at < w.before),
        (w.since_position, lambda row: row.position >= (w.since_position or 0)),
        (w.before_position, lambda row: row.position < (w.before_position or 0)),
    ]
    found = list(rows)
    for value, test in tests:
        if value is not None:
            found = [row for row in found if test(row)]
    return found


def question(random: Random, rows: Sequence[AuditEntry]) -> AuditFilter:
    """Some filters at once: mostly what some entry has, so that there is something to find."""
    like, other = random.choice(rows), random.choice(rows)
    end = rows[-1].position + 9
    moments = sorted(
        random.choice(rows).recorded_at + timedelta(microseconds=random.choice((0, 0, -1, 400)))
        for _ in range(2)
    )
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
    return replace(AuditFilter(org_id=None), **{name: every[name] for name in few})
