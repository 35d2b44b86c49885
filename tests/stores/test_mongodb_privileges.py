"""A step that MongoDB's user may not do is refused before anything is done."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from api.composition import open_service
from api.use_cases.health import look
from api.use_cases.projections import prepare_drop_old, prepare_rebuild, prepare_roll_back
from api.use_cases.service import Service
from domain.errors import SourceUnusable, StoreRefused
from infrastructure.configuration.settings import load_settings
from infrastructure.migration.restoring import (
    Records,
    digest_of,
    raw,
    rehearse,
    shape_of,
)
from infrastructure.mongodb.client import Document
from projections.versions.rebuild import Wanted
from tests.support.access_control import OLD, STORE, access_controlled, address
from tests.support.command import run
from tests.support.mongod import ReplicaSet
from tests.support.old_system import RAW, content
from tests.support.server import environment

MISSING = f"Grant the user in the address the action collMod on {STORE}.tickets"


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    with access_controlled(tmp_path_factory.mktemp("privileges"), _fill) as started:
        yield started


def _fill(client: MongoClient[Document]) -> None:
    """Records of the old system that are older than the validator of their collection."""
    old = client[OLD]
    old["ticket_1"].insert_many([{"_id": ObjectId(), "name": f"Shift {n}"} for n in range(3)])
    schema = {"$jsonSchema": {"required": ["system"]}}
    old.command("collMod", "ticket_1", validator=schema, validationLevel="moderate")


@contextmanager
def service(replica_set: ReplicaSet, user: str, *, runs: bool = False) -> Iterator[Service]:
    settings = load_settings(environment(address(replica_set, user)))
    with open_service(settings, run_projections=runs, watch=False) as opened:
        yield opened


@contextmanager
def database(replica_set: ReplicaSet, user: str, name: str) -> Iterator[Database[Any]]:
    with MongoClient[Document](address(replica_set, user, name)) as client:
        yield client[name]


def view_on(replica_set: ReplicaSet) -> str:
    with database(replica_set, "reader", STORE) as store:
        (view,) = store.list_collections(filter={"name": "tickets"})
        return str(view["options"]["viewOn"])


def test_with_readwrite_alone_a_switch_is_refused_beforehand_and_nothing_is_switched(
    replica_set: ReplicaSet,
) -> None:
    with service(replica_set, "writer", runs=True) as opened:
        tickets = opened.tickets
        assert tickets.unpublished is None
        with pytest.raises(StoreRefused, match=MISSING):
            prepare_rebuild(opened, tickets, Wanted())
        assert tickets.versions.registry().building is None
        prepare_rebuild(opened, tickets, Wanted(dry_run=True))
        prepare_rebuild(opened, opened.audit, Wanted())

        before = tickets.versions.registry()
        build = tickets.versions.begin(0, 1)
        with pytest.raises(StoreRefused, match=MISSING):
            tickets.versions.switch(build.version)
        assert tickets.versions.registry().live == before.live
        assert view_on(replica_set) == f"tickets_{before.live}"
        tickets.versions.forget(build.version)
        tickets.versions.drop(build.version)
    command = ("projections", "rebuild", "tickets")
    settings = environment(address(replica_set, "writer"))
    code, _, err = run(*command, store=settings.pop("TICKETBOOK_STORE"), **settings)
    assert (code, "Traceback" in err) == (4, False)
    assert MISSING in err and "docs/operators.md" in err


def test_a_service_that_may_not_publish_serves_all_the_same_says_so_and_recovers(
    replica_set: ReplicaSet,
) -> None:
    with service(replica_set, "service") as opened:
        versions = opened.tickets.versions
        build = versions.begin(0, 1)
        versions.view(build.version).complete(0)
        versions.switch(build.version)
        kept, live = versions.registry().kept[0], versions.registry().live
    with database(replica_set, "service", STORE) as store:  # killed between switch and publish
        store.command("collMod", "tickets", viewOn=f"tickets_{kept}", pipeline=[])

    with service(replica_set, "writer", runs=True) as opened:
        assert MISSING in (opened.tickets.unpublished or "")
        assert any(
            MISSING in problem.sentence and problem.serves for problem in look(opened).problems
        )
        for prepare in (prepare_drop_old, prepare_roll_back):
            with pytest.raises(StoreRefused, match=MISSING):
                prepare(opened.tickets, dry_run=False)
        assert opened.tickets.versions.registry().kept == (kept,)
        with service(replica_set, "service", runs=True):
            assert view_on(replica_set) == f"tickets_{live}"
        prepare_drop_old(opened.tickets, dry_run=False)  # it has nothing to publish any more


def test_the_way_back_is_tried_before_a_collection_is_dropped_and_names_what_is_missing(
    replica_set: ReplicaSet,
) -> None:
    with database(replica_set, "cutover", OLD) as old:
        records: Records = old["ticket_1"].with_options(codec_options=RAW)
        backup, shape, before = list(raw(records)), shape_of(records), content(old)
        with pytest.raises(SourceUnusable, match="bypassDocumentValidation on the database old"):
            rehearse(records, backup, digest_of(backup), shape)
        assert (old.list_collection_names(), content(old)) == (["ticket_1"], before)
    with database(replica_set, "migration", OLD) as old:  # may only read there
        records = old["ticket_1"].with_options(codec_options=RAW)
        with pytest.raises(SourceUnusable, match="lacks the action dropCollection on old"):
            rehearse(records, backup, digest_of(backup), shape)
