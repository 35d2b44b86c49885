"""The obvious way to order a log on MongoDB: a counter document inside each transaction.

Written as well as that design allows, to have something to compare group commit with.
"""

from eventsourcing.persistence import StoredEvent
from pymongo.client_session import ClientSession
from pymongo.database import Database

from infrastructure.mongodb.client import DURABLE, SETTLED, Document


class CounterRecorder:
    """One transaction per append, with the same durability as ours. `with_transaction` retries
    the write conflicts on the counter."""

    def __init__(self, database: Database[Document]) -> None:
        self._client = database.client
        self._counter = database["counter"]
        self._events = database["counted_events"]
        self._events.create_index([("id", 1), ("version", 1)], unique=True)
        self._counter.update_one({"_id": "position"}, {"$setOnInsert": {"value": 0}}, upsert=True)

    def append(self, event: StoredEvent) -> None:
        def insert(session: ClientSession) -> None:
            counter = self._counter.find_one_and_update(
                {"_id": "position"}, {"$inc": {"value": 1}}, session=session, return_document=True
            )
            assert counter is not None
            document = {
                "_id": counter["value"],
                "id": event.originator_id,
                "version": event.originator_version,
                "topic": event.topic,
                "state": event.state,
            }
            self._events.insert_one(document, session=session)

        with self._client.start_session() as session:
            session.with_transaction(insert, read_concern=SETTLED, write_concern=DURABLE)
