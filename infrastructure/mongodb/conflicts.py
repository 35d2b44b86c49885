"""The conflict that made MongoDB refuse a commit as a duplicate."""

from collections.abc import Sequence
from typing import Any, Final

from eventsourcing.persistence import StoredEvent
from pymongo.collection import Collection as MongoCollection

from domain.errors import HeadMoved
from infrastructure.log.ordered_log import KeyTaken, StoredAnswer, StreamTaken
from infrastructure.mongodb.client import Document
from infrastructure.mongodb.failures import answering

_PLACE: Final = ("id", "version")
"""The fields of an event that a unique index holds."""


def is_stored(
    commits: MongoCollection[Document],
    first: Document,
    events: Sequence[StoredEvent],
    answers: Sequence[StoredAnswer],
) -> bool:
    """Find out why the commit was refused as a duplicate. True if an earlier attempt of ours
    was stored and its acknowledgement got lost. Otherwise raises the conflict; False if the
    other document is not durable yet: it may still roll back, so try again."""
    by = first["by"]
    with answering():
        stored = commits.find_one({"_id": first["_id"]}, {"by": 1})
        if stored and stored.get("by") == by:
            return True
        if stored:
            raise HeadMoved(f"position {first['_id']} is taken")
        ids = list({event.originator_id for event in events})
        keys = [answer.key for answer in answers]
        others = {"by": {"$ne": by}}
        places = {
            "$map": {"input": events_of(ids), "in": {name: f"$$this.{name}" for name in _PLACE}}
        }
        streams = commits.find({"events.id": {"$in": ids}, **others}, {"events": places})
        stored_places = {(e["id"], e["version"]) for commit in streams for e in commit["events"]}
        answered = commits.find_one({"answers.key": {"$in": keys}, **others}, {"_id": 1})
    if taken := {(e.originator_id, e.originator_version) for e in events} & stored_places:
        raise StreamTaken(taken)
    if answered:
        raise KeyTaken("one of the keys was answered already")
    return False


def events_of(ids: Sequence[Any]) -> Document:
    """An expression: the events of these streams in a commit.

    A commit has few of them as a rule, so they are looked for together first: each event is then
    compared with these few, and not with all `ids`.
    """
    few = {"$setIntersection": ["$events.id", {"$literal": list(ids)}]}
    mine = {"$filter": {"input": "$events", "cond": {"$in": ["$$this.id", "$$few"]}}}
    return {"$let": {"vars": {"few": few}, "in": mine}}
