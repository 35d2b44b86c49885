"""Pages of the audit log, with any combination of filters, of a long log and of a tenth of it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Final, Protocol

from bson import ObjectId

from infrastructure.mongodb.audit import MongoDBAudit
from infrastructure.mongodb.client import connect, database
from infrastructure.sqlite.audit import SQLiteAudit
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.stores import AuditView
from projections.audit.projection import AuditEntry
from projections.tickets.search import TicketFilter
from tests.bench.plan import Plan
from tests.bench.table import Part, at_most, below
from tests.support.audit_questions import question
from tests.support.histories import FEATURES, SYSTEMS, Histories, entries_of

_LIMIT: Final = 200.0
"""Milliseconds that 95 % of the pages may take."""

_GROWTH: Final = 1.5
_PAGE: Final = 50
_NOTE: Final = (
    "50 entries by up to six filters at once, from either end or from anywhere, "
    "many that match nothing; 95 % took at most so long. As of: 50 tickets."
)


class _View(AuditView, Protocol):
    def create(self, *, indexed: bool) -> None: ...


def page_sqlite(folder: Path, plan: Plan) -> Part:
    with closing(SQLiteDatabase(folder / "audit.db")) as opened:
        views = SQLiteAudit(opened, 1), SQLiteAudit(opened, 2)
        return _part("SQLite", views, 10 * plan.events, plan.questions)


def page_mongodb(uri: str, plan: Plan) -> Part:
    name = f"bench_{ObjectId()}"
    with connect(uri) as client:
        opened = database(client, name)
        views = MongoDBAudit(opened, 1), MongoDBAudit(opened, 2)
        try:
            return _part("MongoDB", views, plan.events, plan.questions)
        finally:
            client.drop_database(name)


def _part(store: str, views: tuple[_View, _View], size: int, questions: int) -> Part:
    taken: list[dict[str, float]] = []
    for view, upto in zip(views, (size // 10, size), strict=True):
        samples = _filled(view, upto)
        taken.append(
            {
                "filtered page": _p95(_search(view, samples), questions),
                "page as of then": _p95(_look_back(view, upto, samples), questions),
            }
        )
    rows = []
    for what in taken[0]:
        tenth, whole = (one[what] for one in taken)
        rows.append(below(f"{what} of {size:,} on {store}, p95", whole, _LIMIT))
        rows.append(at_most(f"{what} on {store}, p95 / of {size // 10:,}", whole, tenth, _GROWTH))
    return Part(tuple(rows), (f"{store}: {_NOTE}",))


def _filled(view: _View, size: int) -> list[AuditEntry]:
    """Fill the view as a rebuild does, indexes last; some of its entries, to ask for."""
    samples: list[AuditEntry] = []
    histories = Histories(7, orgs=12, actors=24, alive=20_000)
    view.create(indexed=False)
    coming = _sampled(entries_of(histories.events(size)), samples)
    while some := list(islice(coming, 5_000)):
        view.load(0, some[-1].position, [(entry.ticket_id, entry) for entry in some], ())
    view.complete(size)
    return samples


def _sampled(entries: Iterator[AuditEntry], samples: list[AuditEntry]) -> Iterator[AuditEntry]:
    """The entries, some of which are kept to ask for."""
    for entry in entries:
        if entry.position % 997 == 1:
            samples.append(entry)
        yield entry


def _search(view: AuditView, samples: list[AuditEntry]) -> Callable[[Random], object]:
    def ask(random: Random) -> object:
        where, newest_first = question(random, samples), random.random() < 0.5
        beyond = random.choice((None, random.choice(samples).position))
        return view.page(where, beyond=beyond, limit=_PAGE, newest_first=newest_first)

    return ask


def _look_back(view: AuditView, upto: int, samples: list[AuditEntry]) -> Callable[[Random], object]:
    def ask(random: Random) -> object:
        like = random.choice(samples)
        where = TicketFilter(
            org_id=random.choice((None, like.org_id)),
            system=random.choice((None, *SYSTEMS)),
            name=random.choice((None, None, "Foreman", "nobody")),
            feature=random.choice((None, *FEATURES)),
        )
        beyond = random.choice((None, random.choice(samples).ticket_id))
        return view.tickets_at(random.randrange(upto), where, beyond=beyond, limit=_PAGE)

    return ask


def _p95(ask: Callable[[Random], object], times: int) -> float:
    """Milliseconds; the same questions each time."""
    random, taken = Random(3), []
    for _ in range(times):
        started = perf_counter()
        ask(random)
        taken.append((perf_counter() - started) * 1_000)
    return sorted(taken)[int(times * 0.95)]
