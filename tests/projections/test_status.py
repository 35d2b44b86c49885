"""How every version of a projection stands: for operators, for health, and for figures."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from projections.running.projection import Projected
from projections.tickets.projection import TICKETS
from projections.versions.build import PartitionBuilder
from projections.versions.status import ProjectionStatus, VersionStatus, status
from tests.support.health import metrics, readiness, ready
from tests.support.rebuilds import House, followed, rebuilt
from tests.support.server import Client, serving, until
from tests.support.stories import START, create, id_
from tests.support.view_rows import open_store


@pytest.fixture
def house(store_url: str) -> Iterator[House]:
    with open_store(store_url) as opened:
        house = House(opened)
        with closing(house.writer):
            house.fill()
            yield house


def short(found: ProjectionStatus) -> list[tuple[int, str, str, int]]:
    return [(one.version, one.role, one.state, one.position) for one in found.versions]


def test_it_names_the_live_version_those_kept_and_the_one_being_built(house: House) -> None:
    live, head = house.live(TICKETS), house.log.head()
    followed(live, 1)
    rebuilt(live, house.log.head)
    live.versions.begin(head, 3)

    found = status(live)

    assert found.name == "tickets"
    assert short(found) == [
        (2, "live", "down", head),
        (1, "kept", "down", head),
        (3, "building", "stopped", 0),
    ]
    assert found.live_version is found.versions[0]


def building(projected: Projected[Any], found: ProjectionStatus) -> VersionStatus:
    version = found.versions[-1]
    assert version.role == "building"
    assert projected.view.name.endswith(f"@{version.version}")
    return version


def test_a_build_has_come_as_far_as_its_last_share(house: House) -> None:
    live, head = house.live(TICKETS), house.log.head()
    build = live.versions.begin(head, 2)
    projected = live.projected(build.version)
    assert building(projected, status(live)).progress == 0.0

    first: PartitionBuilder[Any] = PartitionBuilder(projected, build, 0)
    first.step()
    assert building(projected, status(live)).position == 0

    projected.view.load(1, head // 2, [], [])
    half = building(projected, status(live))
    assert (half.position, half.lag_events) == (head // 2, head - head // 2)
    assert half.progress == pytest.approx(0.5, abs=0.05)

    second: PartitionBuilder[Any] = PartitionBuilder(projected, build, 1)
    second.step()
    projected.view.complete(head)
    house.writer.execute(create(id_(60)))
    done = building(projected, status(live))
    assert (done.position, done.progress, done.lag_events) == (head, 1.0, 1)


def test_nobody_waits_for_what_is_loaded_in_bulk_however_old_the_log_is(house: House) -> None:
    live = house.live(TICKETS, lambda: START + timedelta(days=900))
    build = live.versions.begin(house.log.head(), 1)
    found = status(live)
    assert found.live_version.lag_seconds == timedelta(days=900).total_seconds()
    assert building(live.projected(build.version), found).lag_seconds == 0.0
    assert found.versions[-1].lag_events == house.log.head()


def test_a_build_says_who_is_at_it_and_what_was_asked_of_it(house: House) -> None:
    live = house.live(TICKETS)
    build = live.versions.begin(house.log.head(), 1)
    projected = live.projected(build.version)
    projected.leases.seize(projected.view.name, "an operator", 60)
    live.versions.control(rate=500)

    found = building(projected, status(live))
    assert (found.state, found.build and found.build.rate) == ("building", 500)
    assert found.lease and found.lease.holder == "an operator"

    live.versions.control(paused=True)
    assert building(projected, status(live)).state == "paused"
    projected.leases.release(projected.view.name, "an operator")
    assert building(projected, status(live)).state == "stopped"


def test_neither_a_kept_nor_a_stopped_version_makes_a_service_unready(store_url: str) -> None:
    with serving(store_url) as served:
        client: Client = served.client()
        created = client.created()
        audit = served.service.projections["audit"]
        rebuilt(audit, served.service.log.head)
        until(lambda: len(audit.followed) == 2 and audit.live_version.progress.position == 1)
        audit.versions.begin(1, 1)
        kept = audit.followed[1].runner
        assert kept
        kept.stop()
        until(lambda: ready(client))

        told = {one["name"]: one for one in readiness(client)["projections"]}["audit"]
        assert [(one["version"], one["role"], one["state"]) for one in told["versions"]] == [
            (2, "live", "current"),
            (1, "kept", "down"),
            (3, "building", "stopped"),
        ]
        shown = client.get("/v1/projections/audit").json()
        assert (shown["version"], shown["state"], shown["position"]) == (2, "current", 1)
        assert shown["versions"][2]["build"] == {
            "target": 1,
            "progress": 0.0,
            "complete": False,
            "paused": False,
            "rate": None,
        }
        figures = metrics(client)
        name = "ticketbook_projection_version_"
        assert figures[f"{name}up", "audit", "live", "2"] == 1
        assert figures[f"{name}up", "audit", "kept", "1"] == 0
        assert figures[f"{name}progress", "audit", "building", "3"] == 0
        assert figures[f"{name}position", "audit", "live", "2"] == 1
        assert figures["ticketbook_projection_up", "audit"] == 1
        assert len(client.get(f"/v1/tickets/{created['_id']}/history").json()["items"]) == 1

        live = audit.live_version.runner
        assert live
        live.stop()
        until(lambda: readiness(client)["status"] == "unready")
