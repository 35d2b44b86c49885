"""Domain events and answers as stored bytes, and back.

The bytes are JSON: `{"recorded_at": …, "data": {event fields}}`, plus `"shape": n` once an event's
fields have changed. They are the same on every store, so hashes over them agree.

To change the shape of an event: raise its number in `SHAPES`, add an upcaster that turns the old
`data` into the next one, and add a golden file in `tests/golden/`. Stored events are never
rewritten.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, NotRequired, TypeVar

from eventsourcing.persistence import StoredEvent
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from typing_extensions import TypedDict

from domain.errors import REFUSALS, EventUnreadable, Fault, Refusal, StoreCorrupt
from domain.log.ports import Answer, ItemAnswer
from domain.ticket.events import EVENT_TYPES, Event, Recorded
from infrastructure.log.ordered_log import Chained, StoredAnswer

SHAPES: Final[dict[str, int]] = {}
"""The current shape of each topic; 1 unless listed."""

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: Final[dict[tuple[str, int], Upcaster]] = {}
"""The function that turns the data of a (topic, shape) into the data of the next shape."""

E = TypeVar("E")


class _Envelope(TypedDict, Generic[E]):
    """The stored form of an event."""

    recorded_at: datetime
    data: E
    shape: NotRequired[int]


_ENVELOPES: Final[dict[str, TypeAdapter[_Envelope[Event]]]] = {
    event_type.TOPIC: TypeAdapter(_Envelope[event_type])  # type: ignore[valid-type]
    for event_type in EVENT_TYPES
}


_EVENTS: Final[dict[str, TypeAdapter[Event]]] = {
    event_type.TOPIC: TypeAdapter(event_type) for event_type in EVENT_TYPES
}


def encode_event(event: Event) -> bytes:
    """The stored form of an event, without its time in the log."""
    return _EVENTS[event.TOPIC].dump_json(event)


def encode(recorded: Recorded, event: bytes | None = None) -> StoredEvent:
    """The stored event. `event` is the result of `encode_event`, if the caller has it already."""
    topic = recorded.event.TOPIC
    data = event or encode_event(recorded.event)
    shape = b',"shape":%d' % SHAPES[topic] if topic in SHAPES else b""
    return StoredEvent(
        originator_id=recorded.ticket_id,
        originator_version=recorded.version,
        topic=topic,
        state=b'{"recorded_at":%b,"data":%b%b}' % (to_json(recorded.recorded_at), data, shape),
    )


def decode(stored: Chained) -> Recorded:
    """Raises `EventUnreadable` when the bytes are not what `encode` wrote."""
    try:
        envelope = _read(stored) or _read_again(stored)
        return Recorded(
            stored.id,
            str(stored.originator_id),
            stored.originator_version,
            envelope["recorded_at"],
            envelope["data"],
            stored.hash.hex(),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EventUnreadable(
            f"The event at position {stored.id} ({stored.topic}, ticket {stored.originator_id}, "
            f"version {stored.originator_version}) cannot be read: {_without_data(error)}. "
            "It was written by a newer version, or damaged.",
            stored.id,
            str(stored.originator_id),
        ) from _without_input(error)


def _read(stored: Chained) -> _Envelope[Event] | None:
    """Decode in one pass, as is possible for almost every event; else None."""
    try:
        read = _ENVELOPES[stored.topic].validate_json(stored.state, extra="forbid")
    except ValidationError:
        return None
    return read if read.get("shape", 1) == SHAPES.get(stored.topic, 1) else None


def _read_again(stored: Chained) -> _Envelope[Event]:
    """Decode step by step, from an older shape to the current one. Raises the error of the step
    that fails."""
    envelope = from_json(stored.state)
    data, shape = envelope["data"], envelope.get("shape", 1)
    current = SHAPES.get(stored.topic, 1)
    if shape > current:
        raise ValueError(f"it has shape {shape}, and the newest known here is {current}")
    for older in range(shape, current):
        data = UPCASTERS[stored.topic, older](data)
    now = {"recorded_at": envelope["recorded_at"], "data": data}
    return _ENVELOPES[stored.topic].validate_python(now, extra="forbid")


def _without_data(error: Exception) -> str:
    """The error in words, without the stored data: people see messages who may not see the data."""
    if isinstance(error, ValidationError):
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        places = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in faults[:3]]
        return "; ".join(f"{place}: {what}" if place else what for place, what in places)
    return str(error)


def _without_input(error: Exception) -> Exception | None:
    """The cause for a traceback; None for pydantic's errors, which quote their input."""
    return None if isinstance(error, ValidationError) else error


@dataclass(frozen=True, slots=True)
class _StoredRefusal:
    code: str
    detail: str
    faults: tuple[Fault, ...]
    version: int | None


@dataclass(frozen=True, slots=True)
class _StoredItem:
    ticket_id: str
    version: int
    position: int
    appended: int
    refusal: _StoredRefusal | None


@dataclass(frozen=True, slots=True)
class _StoredAnswer:
    """`items` is stored for a list alone, `catalogue` for a refusal that depends on it: every other
    answer has the bytes it always had."""

    fingerprint: str
    ticket_id: str
    version: int
    position: int
    refusal: _StoredRefusal | None
    items: tuple[_StoredItem, ...] = ()
    catalogue: str | None = None


_ANSWER: Final = TypeAdapter(_StoredAnswer)


def encode_answer(answer: Answer) -> StoredAnswer:
    body = _StoredAnswer(
        answer.fingerprint,
        answer.ticket_id,
        answer.version,
        answer.position,
        _stored_refusal(answer.refusal),
        tuple(
            _StoredItem(
                item.ticket_id,
                item.version,
                item.position,
                item.appended,
                _stored_refusal(item.refusal),
            )
            for item in answer.items
        ),
        answer.catalogue,
    )
    return StoredAnswer(answer.key, _ANSWER.dump_json(body, exclude_defaults=True))


def decode_answer(key: str, body: bytes) -> Answer:
    try:
        stored = _ANSWER.validate_json(body, extra="forbid")
        refusal = _refusal(stored.refusal)
        items = tuple(
            ItemAnswer(
                item.ticket_id, item.version, item.position, item.appended, _refusal(item.refusal)
            )
            for item in stored.items
        )
    except (KeyError, ValueError) as error:
        raise StoreCorrupt(
            f"The answer kept for key {key!r} cannot be read: {_without_data(error)}"
        ) from _without_input(error)
    return Answer(
        key,
        stored.fingerprint,
        stored.ticket_id,
        stored.version,
        stored.position,
        refusal,
        items,
        stored.catalogue,
    )


def _stored_refusal(refusal: Refusal | None) -> _StoredRefusal | None:
    if refusal is None:
        return None
    return _StoredRefusal(refusal.code, refusal.detail, refusal.faults, refusal.version)


def _refusal(stored: _StoredRefusal | None) -> Refusal | None:
    if stored is None:
        return None
    return REFUSALS[stored.code](stored.detail, stored.faults, stored.version)
