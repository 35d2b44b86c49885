"""MongoDB, as this service's production store and as a persistence module of `eventsourcing`.

`PERSISTENCE_MODULE=infrastructure.mongodb` with `MONGODB_URI` and `MONGODB_DBNAME` gives any
`eventsourcing` application a totally ordered log. MongoDB must be a replica set.
"""

from infrastructure.mongodb.factory import MongoDBFactory
from infrastructure.mongodb.recorders import (
    MongoDBAggregateRecorder,
    MongoDBApplicationRecorder,
)
from infrastructure.mongodb.tracking import MongoDBProcessRecorder, MongoDBTrackingRecorder

__all__ = [
    "MongoDBAggregateRecorder",
    "MongoDBApplicationRecorder",
    "MongoDBFactory",
    "MongoDBProcessRecorder",
    "MongoDBTrackingRecorder",
]
