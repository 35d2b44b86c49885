"""Leases on MongoDB: one document each in `leases`, on the primary's clock."""

from pymongo import ReturnDocument
from pymongo.database import Database

from infrastructure.mongodb.client import Document
from infrastructure.mongodb.failures import answering
from projections.running.projection import CLOCK_STEP, LONGEST_LEASE, Lease


class MongoDBLeases:
    """`Leases` in the collection `leases`: `{_id: name, holder, fence, expiresAt}`."""

    def __init__(self, database: Database[Document]) -> None:
        self._leases = database["leases"]

    def acquire(self, name: str, holder: str, seconds: float) -> int | None:
        mine: Document = {"$eq": ["$holder", {"$literal": holder}]}
        live = _is_live(seconds)
        theirs: Document = {"$and": [live, {"$not": mine}]}
        taken = _taken(holder, seconds, fences={"$cond": [live, 0, 1]})
        lease = self._update(name, {"$cond": [theirs, "$$ROOT", taken]})
        return int(lease["fence"]) if lease["holder"] == holder else None

    def seize(self, name: str, holder: str, seconds: float) -> int:
        return int(self._update(name, _taken(holder, seconds, fences=1))["fence"])

    def release(self, name: str, holder: str) -> None:
        with answering():
            self._leases.update_one(
                {"_id": name, "holder": holder}, [{"$set": {"expiresAt": "$$NOW"}}]
            )

    def current(self, name: str) -> Lease | None:
        over = {"$not": [_is_live(LONGEST_LEASE)]}
        fields = {"holder": 1, "fence": 1, "expiresAt": 1, "expired": over}
        with answering():
            lease = self._leases.find_one({"_id": name}, fields)
        if lease is None:
            return None
        return Lease(lease["holder"], lease["fence"], lease["expiresAt"], lease["expired"])

    def _update(self, name: str, lease: Document) -> Document:
        with answering():
            stored = self._leases.find_one_and_update(
                {"_id": name},
                [{"$replaceWith": lease}],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        assert stored is not None  # an upsert always leaves one
        return stored


def _is_live(seconds: float) -> Document:
    """True for a lease that has not ended, nor ends later than one of so many seconds can."""
    longest = {"$add": ["$$NOW", round((seconds + CLOCK_STEP) * 1000)]}
    return {"$and": [{"$gt": ["$expiresAt", "$$NOW"]}, {"$lte": ["$expiresAt", longest]}]}


def _taken(holder: str, seconds: float, fences: Document | int) -> Document:
    """The lease in `holder`'s hands, its fence higher by `fences`."""
    return {
        "_id": "$_id",
        "holder": {"$literal": holder},
        "fence": {"$add": [{"$ifNull": ["$fence", 0]}, fences]},
        "expiresAt": {"$add": ["$$NOW", round(seconds * 1000)]},
    }
