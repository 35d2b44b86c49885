"""`infrastructure.mongodb` as a persistence module of `eventsourcing`: the library's own published
cases pass, and so do the promises they do not cover."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import reduce
from threading import Thread, Timer
from typing import Any, ClassVar
from unittest import TestCase
from uuid import UUID, uuid4

import pytest
from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import (
    DataError,
    InfrastructureFactory,
    IntegrityError,
    OperationalError,
    StoredEvent,
    Tracking,
)
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.tests import application as published_applications
from eventsourcing.tests import persistence as published
from eventsourcing.utils import Environment
from pymongo import MongoClient
from pymongo.database import Database

from infrastructure.mongodb import (
    MongoDBAggregateRecorder,
    MongoDBApplicationRecorder,
    MongoDBFactory,
    MongoDBProcessRecorder,
    MongoDBTrackingRecorder,
)
from infrastructure.mongodb.client import Document


class OnMongoDB(TestCase):
    """Gives each case an empty database."""

    database: Database[Document]

    @pytest.fixture(autouse=True)
    def _empty_database(self, mongodb_database: Database[Document]) -> None:
        self.database = mongodb_database

    def application_recorder(self) -> MongoDBApplicationRecorder:
        recorder = MongoDBApplicationRecorder(self.database, "app_commits")
        self.addCleanup(recorder.close)
        return recorder

    def process_recorder(self) -> MongoDBProcessRecorder:
        recorder = MongoDBProcessRecorder(self.database, "app_commits", "app_tracking")
        self.addCleanup(recorder.close)
        return recorder


class TextIds:
    def new_originator_id(self) -> UUID | str:
        return f"ticket-{uuid4()}"


class TestAggregateRecorder(OnMongoDB, published.AggregateRecorderTestCase):
    def create_recorder(self) -> MongoDBAggregateRecorder:
        return MongoDBAggregateRecorder(self.database, "app_snapshots")


class TestAggregateRecorderWithTextIds(TextIds, TestAggregateRecorder):
    pass


class TestApplicationRecorder(
    OnMongoDB, published.ApplicationRecorderTestCase[MongoDBApplicationRecorder]
):
    def create_recorder(self) -> MongoDBApplicationRecorder:
        return self.application_recorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderWithTextIds(TextIds, TestApplicationRecorder):
    pass


class TestTrackingRecorder(OnMongoDB, published.TrackingRecorderTestCase):
    def create_recorder(self) -> MongoDBTrackingRecorder:
        return MongoDBTrackingRecorder(self.database, "app_tracking")


class TestProcessRecorder(OnMongoDB, published.ProcessRecorderTestCase):
    def create_recorder(self) -> MongoDBProcessRecorder:
        return self.process_recorder()


class TestProcessRecorderWithTextIds(TextIds, TestProcessRecorder):
    pass


class TestProcessRecorderAsApplicationRecorder(TestApplicationRecorder):
    def create_recorder(self) -> MongoDBProcessRecorder:
        return self.process_recorder()


class TestProcessRecorderAsTrackingRecorder(TestTrackingRecorder):
    def create_recorder(self) -> MongoDBProcessRecorder:
        return self.process_recorder()


class TestNonInterleavingNotificationIds(
    OnMongoDB, published.NonInterleavingNotificationIDsBaseCase
):
    def create_recorder(self) -> MongoDBApplicationRecorder:
        return self.application_recorder()


class TestNonInterleavingNotificationIdsWithTextIds(TextIds, TestNonInterleavingNotificationIds):
    pass


class Tallies(MongoDBTrackingRecorder):
    """A view: how many events of each kind were seen, written together with its tracking."""

    def count(self, kind: str, tracking: Tracking) -> None:
        def write(session: Any) -> None:
            database["tallies"].update_one(
                {"_id": kind}, {"$inc": {"seen": 1}}, upsert=True, session=session
            )
            self.track(tracking, session)

        database = self._trackings.database
        with database.client.start_session() as session:
            session.with_transaction(write)

    def seen(self, kind: str) -> int:
        found = self._trackings.database["tallies"].find_one({"_id": kind})
        return int(found["seen"]) if found else 0


class TestFactory(published.InfrastructureFactoryTestCase[MongoDBFactory]):
    @pytest.fixture(autouse=True)
    def _environment(self, mongodb_env: dict[str, str]) -> None:
        self.env = Environment("App", mongodb_env)

    def expected_factory_class(self) -> type[MongoDBFactory]:
        return MongoDBFactory

    def expected_aggregate_recorder_class(self) -> type[MongoDBAggregateRecorder]:
        return MongoDBAggregateRecorder

    def expected_application_recorder_class(self) -> type[MongoDBApplicationRecorder]:
        return MongoDBApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[MongoDBTrackingRecorder]:
        return MongoDBTrackingRecorder

    def tracking_recorder_subclass(self) -> type[MongoDBTrackingRecorder]:
        return Tallies

    def expected_process_recorder_class(self) -> type[MongoDBProcessRecorder]:
        return MongoDBProcessRecorder


@pytest.fixture
def mongodb_env(mongodb_uri: str, mongodb_database: Database[Document]) -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "infrastructure.mongodb",
        "MONGODB_URI": mongodb_uri,
        "MONGODB_DBNAME": mongodb_database.name,
    }


class TestExampleApplication(published_applications.ExampleApplicationTestCase):
    expected_factory_topic = "infrastructure.mongodb.factory:MongoDBFactory"

    @pytest.fixture(autouse=True)
    def _environment(self, mongodb_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in mongodb_env.items():
            monkeypatch.setenv(name, value)


# --- an application in the decider form ---------------------------------------------------------


@dataclass(frozen=True)
class DoorEvent:
    TOPIC: ClassVar[str]
    originator_id: str
    originator_version: int


@dataclass(frozen=True)
class DoorOpened(DoorEvent):
    TOPIC = "door.opened"
    by: str


@dataclass(frozen=True)
class DoorClosed(DoorEvent):
    TOPIC = "door.closed"


@dataclass(frozen=True)
class Door:
    id: str
    version: int
    visitors: tuple[str, ...] = ()
    is_open: bool = False


@dataclass(frozen=True)
class DoorSnapshot:
    TOPIC = "door.snapshot"
    originator_id: str
    originator_version: int
    visitors: list[str]
    is_open: bool

    @classmethod
    def take(cls, door: Door) -> "DoorSnapshot":
        return cls(door.id, door.version, list(door.visitors), door.is_open)


def evolve(door: Door | None, event: DoorEvent | DoorSnapshot) -> Door | None:
    match event:
        case DoorSnapshot():
            visitors = tuple(event.visitors)
            return Door(event.originator_id, event.originator_version, visitors, event.is_open)
        case DoorOpened():
            door = door or Door(event.originator_id, 0)
            visitors = (*door.visitors, event.by)
            return replace(door, version=event.originator_version, visitors=visitors, is_open=True)
        case DoorClosed() if door:
            return replace(door, version=event.originator_version, is_open=False)
    return door


def fold(door: Door | None, events: Iterable[DoorEvent | DoorSnapshot]) -> Door | None:
    return reduce(evolve, events, door)


class Doors(Application[str]):
    is_snapshotting_enabled = True
    snapshot_class = DoorSnapshot  # type: ignore[assignment]  # it wants the library's own

    def door(self, door_id: str, version: int | None = None) -> Door:
        found: Door = self.repository.get(door_id, version=version, projector_func=fold)
        return found


@pytest.fixture
def doors(mongodb_env: dict[str, str]) -> Iterator[Doors]:
    with Doors(mongodb_env) as app:
        yield app


def test_an_application_in_the_decider_form_runs_on_it(doors: Doors) -> None:
    recorded = doors.save(DoorOpened("front", 1, "ann"), DoorOpened("back", 1, "bob"))
    doors.save(DoorClosed("front", 2))

    assert [recording.notification.id for recording in recorded] == [1, 2]
    assert doors.door("front") == Door("front", 2, ("ann",), is_open=False)
    assert doors.door("front", version=1).is_open
    with pytest.raises(IntegrityError):
        doors.save(DoorOpened("side", 1, "eve"), DoorOpened("front", 2, "eve"))
    assert [item.id for item in doors.notification_log.select(1, 10)] == [1, 2, 3]


def test_a_snapshot_stands_in_for_the_events_before_it(
    doors: Doors, mongodb_database: Database[Document]
) -> None:
    doors.save(DoorOpened("front", 1, "ann"), DoorClosed("front", 2))
    doors.take_snapshot("front", projector_func=fold)
    doors.save(DoorOpened("front", 3, "bob"))
    mongodb_database["doors_commits"].delete_many({"_id": 1})

    assert doors.door("front") == Door("front", 3, ("ann", "bob"), is_open=True)


class TallyDoors(Projection[Tallies]):
    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.count(domain_event.TOPIC, tracking)


def test_the_projection_runner_of_the_library_runs_on_it(mongodb_env: dict[str, str]) -> None:
    with (
        Doors(mongodb_env) as other_process,
        ProjectionRunner(
            application_class=Doors,
            projection_class=TallyDoors,
            view_class=Tallies,
            env=mongodb_env,
        ) as runner,
    ):
        for version in range(1, 20, 2):
            recorded = other_process.save(
                DoorOpened("front", version, "ann"), DoorClosed("front", version + 1)
            )
        runner.wait(recorded[-1].notification.id, timeout=20)
        assert runner.projection.view.seen("door.opened") == 10
        assert runner.projection.view.seen("door.closed") == 10


def test_each_application_has_a_log_of_its_own(mongodb_env: dict[str, str]) -> None:
    class Gates(Doors):
        pass

    with Doors(mongodb_env) as doors, Gates(mongodb_env) as gates:
        doors.save(DoorOpened("front", 1, "ann"))
        (recorded,) = gates.save(DoorOpened("front", 1, "bob"))
        assert recorded.notification.id == 1
        assert doors.door("front").visitors == ("ann",)


# --- what the published cases leave open --------------------------------------------------------


def event(stream: UUID | str, version: int = 1, topic: str = "topic") -> StoredEvent:
    return StoredEvent(stream, version, topic, b"state")


@pytest.fixture
def recorder(mongodb_database: Database[Document]) -> Iterator[MongoDBApplicationRecorder]:
    with closing(MongoDBApplicationRecorder(mongodb_database, "app_commits")) as opened:
        yield opened


@pytest.fixture
def elsewhere(mongodb_database: Database[Document]) -> Iterator[MongoDBApplicationRecorder]:
    """A recorder of the same application in another process, as far as the first can tell."""
    with closing(MongoDBApplicationRecorder(mongodb_database, "app_commits")) as opened:
        yield opened


def test_ids_come_back_as_what_they_were(recorder: MongoDBApplicationRecorder) -> None:
    number = uuid4()
    recorder.insert_events([event(number), event(str(number))])

    assert recorder.select_events(number)[0].originator_id == number
    assert recorder.select_events(str(number))[0].originator_id == str(number)
    assert [n.originator_id for n in recorder.select_notifications(1, 2)] == [number, str(number)]


def test_inserts_of_two_processes_disturb_only_each_others_turn(
    recorder: MongoDBApplicationRecorder, elsewhere: MongoDBApplicationRecorder
) -> None:
    def insert(number: int) -> list[int]:
        chosen = recorder if number % 2 else elsewhere
        return list(chosen.insert_events([event(f"s-{number}", 1), event(f"s-{number}", 2)]))

    with ThreadPoolExecutor(16) as threads:
        given = list(threads.map(insert, range(200)))
    assert sorted(position for pair in given for position in pair) == list(range(1, 401))
    assert all(second == first + 1 for first, second in given)


def test_a_subscription_sees_what_another_process_records(
    recorder: MongoDBApplicationRecorder, elsewhere: MongoDBApplicationRecorder
) -> None:
    def insert() -> None:
        for number in range(50):
            elsewhere.insert_events([event(f"stream-{number}")])

    with recorder.subscribe() as subscription:
        inserting = Thread(target=insert)
        inserting.start()
        assert [next(subscription).id for _ in range(50)] == list(range(1, 51))
        inserting.join()


def test_a_subscription_passes_over_topics_it_was_not_asked_for(
    recorder: MongoDBApplicationRecorder,
) -> None:
    recorder.insert_events(
        [event("a", n, "wanted" if n % 600 == 0 else "other") for n in range(1201)]
    )

    with recorder.subscribe(topics=["wanted"]) as subscription:
        assert [next(subscription).originator_version for _ in range(3)] == [0, 600, 1200]
        recorder.insert_events([event("b", 1, "other"), event("b", 2, "wanted")])
        assert next(subscription).id == 1203


def test_a_subscription_that_waits_ends_when_it_is_stopped(
    recorder: MongoDBApplicationRecorder,
) -> None:
    with recorder.subscribe() as subscription:
        Timer(0.2, subscription.stop).start()
        assert list(subscription) == []


def test_closing_the_recorder_ends_its_subscriptions(
    mongodb_database: Database[Document],
) -> None:
    recorder = MongoDBApplicationRecorder(mongodb_database, "app_commits")
    Timer(0.2, recorder.close).start()
    assert list(recorder.subscribe()) == []
    with pytest.raises(OperationalError):
        recorder.insert_events([event("late")])


def test_events_and_tracking_are_recorded_together_or_not_at_all(
    mongodb_database: Database[Document],
) -> None:
    with closing(MongoDBProcessRecorder(mongodb_database, "p_commits", "p_tracking")) as recorder:
        recorder.insert_events([event("a")], tracking=Tracking("upstream", 5))

        with pytest.raises(IntegrityError):
            recorder.insert_events([event("a")], tracking=Tracking("upstream", 6))
        assert recorder.max_tracking_id("upstream") == 5
        with pytest.raises(IntegrityError):
            recorder.insert_events([event("b")], tracking=Tracking("upstream", 5))
        assert recorder.select_events("b") == []

        assert list(recorder.insert_events([event("b")], tracking=Tracking("upstream", 6))) == [2]
        assert recorder.insert_events([event("c")]) == [3]


def test_tracked_and_plain_inserts_share_one_order(mongodb_database: Database[Document]) -> None:
    with closing(MongoDBProcessRecorder(mongodb_database, "p_commits", "p_tracking")) as recorder:

        def insert(number: int) -> list[int]:
            tracking = Tracking(f"upstream-{number}", 1) if number % 4 == 0 else None
            events = [event(f"s-{number}", 1), event(f"s-{number}", 2)]
            return list(recorder.insert_events(events, tracking=tracking))

        with ThreadPoolExecutor(8) as threads:
            given = list(threads.map(insert, range(80)))
        assert sorted(position for pair in given for position in pair) == list(range(1, 161))
        assert all(recorder.max_tracking_id(f"upstream-{n}") == 1 for n in range(0, 80, 4))


def test_what_mongodb_can_not_hold_is_a_data_error(recorder: MongoDBApplicationRecorder) -> None:
    with pytest.raises(DataError):
        recorder.insert_events([event("a", 2**70)])
    with pytest.raises(DataError):
        recorder.insert_events([StoredEvent("a", 1, "topic", bytes(17 * 1024 * 1024))])
    assert recorder.max_notification_id() is None


def test_an_unreachable_mongodb_is_an_operational_error() -> None:
    nowhere = MongoClient[Document]("mongodb://127.0.0.1:1/", serverSelectionTimeoutMS=50)
    with nowhere, pytest.raises(OperationalError):
        MongoDBTrackingRecorder(nowhere["nothing"], "app_tracking")


@pytest.mark.parametrize("missing", ["MONGODB_URI", "MONGODB_DBNAME"])
def test_a_missing_setting_is_named(mongodb_env: dict[str, str], missing: str) -> None:
    del mongodb_env[missing]
    with pytest.raises(OSError, match=f"DOORS_{missing} or {missing}"):
        InfrastructureFactory.construct(Environment("Doors", mongodb_env))
