"""What clients notice of a rebuild of the tickets' view on MongoDB."""

from typing import Final
from urllib.parse import urlsplit

from bson import ObjectId

from infrastructure.mongodb.client import connect
from tests.bench.plan import Plan
from tests.bench.table import Part, Row, at_most
from tests.support.jobs import used_while_operated
from tests.support.traffic import Seen

_QUIET: Final = 60
"""Rounds of a plan that are measured before."""


def use_while_rebuilding(uri: str, plan: Plan) -> Part:
    name = f"bench_{ObjectId()}"
    address = urlsplit(uri)._replace(path=f"/{name}").geturl()
    try:
        before, during = used_while_operated(address, plan.events, _QUIET * plan.seconds)
    finally:
        with connect(uri) as client:
            client.drop_database(name)
    what = f"write over HTTP during a rebuild of {plan.events:,} events / before"
    return Part(
        (
            at_most(f"{what}, p99", during.p99() * 1e3, before.p99() * 1e3, 2),
            *(_late(share, during, before) for share in (0.5, 0.99, 0.999, 1)),
            Row(
                "the same, reads that named no position and showed less than one before them",
                f"{during.went_back:,} of {len(during.out_of_date):,}",
                f"{before.went_back:,} of {len(before.out_of_date):,}",
            ),
        ),
        ("During: rebuild, switch, rollback, switch; four writers and four readers, no pause.",),
    )


def _late(share: float, during: Seen, before: Seen) -> Row:
    return Row(
        f"the same, {share:.1%} of reads that named no position were out of date for at most",
        f"{during.late(share) * 1e3:.0f} ms of {len(during.out_of_date):,}",
        f"{before.late(share) * 1e3:.0f} ms of {len(before.out_of_date):,}",
    )
