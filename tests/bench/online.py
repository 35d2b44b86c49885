"""What clients notice of a rebuild of the tickets' view on MongoDB."""

from typing import Final
from urllib.parse import urlsplit

from bson import ObjectId

from infrastructure.mongodb.client import connect
from tests.bench.plan import Plan
from tests.bench.table import Part, Row, at_most
from tests.operating import used_while_operated

_QUIET: Final = 10
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
    late = max(during.out_of_date), max(before.out_of_date)
    return Part(
        (
            at_most(f"{what}, p99", during.p99() * 1e3, before.p99() * 1e3, 2),
            Row(
                "the same, oldest read that named no position",
                f"{late[0] * 1e3:.0f} ms",
                f"{late[1] * 1e3:.0f} ms",
            ),
        ),
        ("During: rebuild, switch, rollback, switch; four writers and four readers, no pause.",),
    )
