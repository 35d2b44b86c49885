"""The documents of commits: building them, and reading them.

`{_id: first position, last, by, events: [{position, id, version, topic, state, hash}], answers:
[{key, body}]}`; a document of answers only has neither `events` nor a position.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from bson import ObjectId
from eventsourcing.persistence import StoredEvent

from domain.errors import ChainBroken, EventTooLarge
from domain.log.chain import Head, Link, head_of, is_number
from infrastructure.log.ordered_log import Chained, StoredAnswer
from infrastructure.mongodb.client import Document

COMMIT_BYTES: Final = 256 * 1024
"""Bytes of events and answers after which a commit goes on in another document, in one transaction.
MongoDB reads a document whole, so that finding one event costs as much as its document is large;
and no document may have more than 16 MB."""

_LARGEST: Final = 16 * 1024 * 1024
"""Most bytes of a MongoDB document."""

_ENTRY_BYTES: Final = 200
"""Bytes that an event or an answer takes besides its content; a generous estimate."""

_FIELDS: Final = ("position", "id", "version", "topic", "state", "hash")


def documents_of(
    after: int,
    events: Sequence[StoredEvent],
    hashes: Sequence[bytes],
    answers: Sequence[StoredAnswer],
) -> list[Document]:
    """The documents of a commit after position `after`. Raises `EventTooLarge`."""
    by = ObjectId()
    documents: list[Document] = []
    room = 0
    for position, (event, hash_) in enumerate(zip(events, hashes, strict=True), start=after + 1):
        size = len(event.state) + len(event.topic) + _ENTRY_BYTES
        if size > _LARGEST - _ENTRY_BYTES:
            raise EventTooLarge(
                f"An event of {event.originator_id} ({event.topic}) takes {size / 2**20:.1f} MB, "
                "and a document of MongoDB ends at 16 MB. It was not stored."
            )
        if size > room:
            documents.append({"_id": position, "last": position, "by": by, "events": []})
            room = COMMIT_BYTES
        room -= size
        documents[-1]["last"] = position
        documents[-1]["events"].append(
            {
                "position": position,
                "id": event.originator_id,
                "version": event.originator_version,
                "topic": event.topic,
                "state": event.state,
                "hash": hash_,
            }
        )
    for answer in answers:
        size = len(answer.body) + len(answer.key) + _ENTRY_BYTES
        if size > room:
            documents.append({"_id": ObjectId(), "by": by})
            room = COMMIT_BYTES
        room -= size
        stored_answers = documents[-1].setdefault("answers", [])
        stored_answers.append({"key": answer.key, "body": answer.body})
    return documents


def links(commit: Document, position: int) -> Iterator[Link]:
    """The events of the commit that should begin at a position, exactly as they are stored. Raises
    `ChainBroken` where it is no commit, or contradicts its own events."""
    first, last, events = commit["_id"], commit.get("last"), commit.get("events")
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise ChainBroken(position, "the commit that begins here holds no events.")
    if not events or not is_number(first) or events[0].get("position") != first:
        raise ChainBroken(position, "the commit that begins here holds other events.")
    for event in events:
        yield Link(*(event.get(name) for name in _FIELDS))
    position += len(events)
    if not is_number(last) or last != position - 1:
        raise ChainBroken(position, "the commit before it ends elsewhere.")


def notification(event: Document) -> Chained:
    """The stored event of one element of `events`."""
    return Chained(
        originator_id=event["id"],
        originator_version=event["version"],
        topic=event["topic"],
        state=event["state"],
        id=event["position"],
        hash=event["hash"],
    )


def end_of(commit: Document) -> Head:
    """The end of the log, given its last commit."""
    first, ending = commit["_id"], commit.get("ending") or {}
    position = ending.get("position")
    if not is_number(position) or position < first:
        return head_of(first, None)
    return head_of(position, ending.get("hash"))
