"""Building recorders from the environment, as `eventsourcing` applications do."""

from typing import TypeVar
from weakref import finalize

from eventsourcing.persistence import InfrastructureFactory
from eventsourcing.utils import Environment, EnvType, resolve_topic

from infrastructure.mongodb.client import connect, database
from infrastructure.mongodb.recorders import (
    MongoDBAggregateRecorder,
    MongoDBApplicationRecorder,
)
from infrastructure.mongodb.tracking import MongoDBProcessRecorder, MongoDBTrackingRecorder

Recorder = TypeVar("Recorder")


class MongoDBFactory(InfrastructureFactory[MongoDBTrackingRecorder]):
    """Recorders on the database `MONGODB_DBNAME` at `MONGODB_URI`.

    Each application has collections of its own: `{name}_commits`, `{name}_tracking`, ….
    """

    MONGODB_URI = "MONGODB_URI"
    MONGODB_DBNAME = "MONGODB_DBNAME"

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        uri, name = self._setting(self.MONGODB_URI), self._setting(self.MONGODB_DBNAME)
        client = connect(uri)
        self._database = database(client, name)
        # the library forgets some factories without closing them, and goes on using the recorder
        self._disconnect = finalize(self._database, client.close)
        self._prefix = self.env.name.lower() or "stored"
        self._open: list[MongoDBApplicationRecorder] = []

    def aggregate_recorder(self, purpose: str = "events") -> MongoDBAggregateRecorder:
        return MongoDBAggregateRecorder(self._database, f"{self._prefix}_{purpose}")

    def application_recorder(self) -> MongoDBApplicationRecorder:
        recorder_class = self._class(self.APPLICATION_RECORDER_TOPIC, MongoDBApplicationRecorder)
        recorder = recorder_class(self._database, f"{self._prefix}_commits")
        self._open.append(recorder)
        return recorder

    def tracking_recorder(
        self, tracking_recorder_class: type[MongoDBTrackingRecorder] | None = None
    ) -> MongoDBTrackingRecorder:
        recorder_class = tracking_recorder_class or self._class(
            self.TRACKING_RECORDER_TOPIC, MongoDBTrackingRecorder
        )
        return recorder_class(self._database, f"{self._prefix}_tracking")

    def process_recorder(self) -> MongoDBProcessRecorder:
        recorder_class = self._class(self.PROCESS_RECORDER_TOPIC, MongoDBProcessRecorder)
        recorder = recorder_class(
            self._database, f"{self._prefix}_commits", f"{self._prefix}_tracking"
        )
        self._open.append(recorder)
        return recorder

    def close(self) -> None:
        """Store the events that were handed over, then disconnect."""
        for recorder in self._open:
            recorder.close()
        self._disconnect()

    def _setting(self, key: str) -> str:
        value = self.env.get(key)
        if not value:
            names = " or ".join(self.env.create_keys(key))
            raise OSError(f"MongoDB needs {names} in the environment.")
        return value

    def _class(self, key: str, default: type[Recorder]) -> type[Recorder]:
        topic = self.env.get(key)
        chosen: type[Recorder] = resolve_topic(topic) if topic else default
        return chosen
