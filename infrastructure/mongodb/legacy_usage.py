"""The counts of calls on the old routes, on MongoDB."""

from collections.abc import Sequence

from pymongo import UpdateOne
from pymongo.database import Database

from infrastructure.legacy_usage import LegacyCalls
from infrastructure.mongodb.client import Document
from infrastructure.mongodb.failures import answering


class MongoDBLegacyUsage:
    """`LegacyUsage` in the collection `legacy_usage`:
    `{_id: {caller, route}, calls, firstAt, lastAt}`."""

    def __init__(self, database: Database[Document]) -> None:
        self._usage = database["legacy_usage"]

    def add(self, calls: Sequence[LegacyCalls]) -> None:
        updates = [
            UpdateOne(
                {"_id": {"caller": counted.caller, "route": counted.route}},
                {
                    "$inc": {"calls": counted.calls},
                    "$min": {"firstAt": counted.first_at},
                    "$max": {"lastAt": counted.last_at},
                },
                upsert=True,
            )
            for counted in calls
        ]
        with answering():
            self._usage.bulk_write(updates, ordered=False)

    def all(self) -> Sequence[LegacyCalls]:
        with answering():
            documents = list(self._usage.find().sort([("lastAt", -1), ("_id", 1)]))
        return [
            LegacyCalls(
                document["_id"]["caller"],
                document["_id"]["route"],
                document["calls"],
                document["firstAt"],
                document["lastAt"],
            )
            for document in documents
        ]
