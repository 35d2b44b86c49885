"""Stored bytes: each golden file says for ever what its bytes mean."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from traceback import format_exception
from typing import Any, Final

import pytest
from eventsourcing.persistence import StoredEvent
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import (
    REFUSALS,
    EventUnreadable,
    Fault,
    Refusal,
    StoreCorrupt,
    TicketNotFound,
    UnknownFeature,
    VersionConflict,
)
from domain.log.chain import START as NO_HASH
from domain.log.ports import Answer, ItemAnswer
from domain.origin import Origin, milliseconds
from domain.ticket.events import (
    EVENT_TYPES,
    Event,
    LegacyRecordQuarantined,
    LegacyRecordRemoved,
    Recorded,
    SourceRecord,
    TicketCreated,
    TicketFeaturesChanged,
    TicketImported,
    TicketRenamed,
    TicketRestored,
    TicketRetired,
)
from infrastructure.log import codec
from infrastructure.log.ordered_log import Chained
from tests.support.stories import ACME, FOREMAN, START, created, minute

GOLDEN: Final = Path(__file__).parents[1] / "golden"

CLIENT: Final = Origin("ada", "moved to the night shift", "request-1", "message-7", START)
MIGRATION: Final = Origin("operator", None, "run-1", None, minute(100))
SOURCE: Final = SourceRecord("ticket_1", "9f" * 32, 3)

EVENTS: Final[dict[str, Event]] = {
    "ticket.created.1": TicketCreated(
        CLIENT, ACME, "workforce_2", "Foreman „Süd“ 🧶", ("get_all", "create_worker")
    ),
    "ticket.imported.1": TicketImported(
        origin=MIGRATION,
        org_id=ACME,
        system="revolution_counter_1",
        name="Foreman",
        features=("get_all",),
        created_at=minute(0),
        updated_at=minute(9),
        source=SOURCE,
        repairs=("name trimmed",),
        unknown_features=("function () { return true }",),
    ),
    "ticket.renamed.1": TicketRenamed(CLIENT, 'Chief "of" \\ all'),
    "ticket.features_changed.1": TicketFeaturesChanged(
        CLIENT, ("create_worker",), ("create_worker",), ("get_all",)
    ),
    "ticket.retired.1": TicketRetired(CLIENT),
    "ticket.restored.1": TicketRestored(CLIENT),
    "legacy_record.quarantined.1": LegacyRecordQuarantined(
        MIGRATION, SOURCE, "it has no organisation", '{"_id":{"$oid":"52f22665a60c12d289185d95"}}'
    ),
    "legacy_record.removed.1": LegacyRecordRemoved(MIGRATION, "ticket_1"),
}
"""What the golden file `<topic>.<shape>.json` says."""


def stored(state: bytes, topic: str = "ticket.renamed") -> Chained:
    return Chained(FOREMAN, 3, topic, state, id=41, hash=NO_HASH)


def recorded(event: Event) -> Recorded:
    return Recorded(41, FOREMAN, 3, minute(200), event)


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


def altered(name: str, alter: Callable[[dict[str, Any]], object]) -> bytes:
    """The golden bytes, altered."""
    envelope = json.loads(golden(name))
    alter(envelope)
    return json.dumps(envelope).encode()


def test_there_is_a_golden_file_for_every_shape_of_every_event() -> None:
    shapes = {
        f"{event_type.TOPIC}.{shape}"
        for event_type in EVENT_TYPES
        for shape in range(1, codec.SHAPES.get(event_type.TOPIC, 1) + 1)
    }
    assert {path.stem for path in GOLDEN.iterdir()} == set(EVENTS) == shapes


@pytest.mark.parametrize("name", EVENTS)
def test_golden_bytes_mean_what_they_always_meant(name: str) -> None:
    topic = name.rpartition(".")[0]
    assert codec.decode(stored(golden(name), topic)) == recorded(EVENTS[name])


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_of_the_current_shape_is_stored_as_exactly_the_golden_bytes(name: str) -> None:
    topic, _, shape = name.rpartition(".")
    if int(shape) == codec.SHAPES.get(topic, 1):
        expected = StoredEvent(FOREMAN, 3, topic, golden(name))
        assert codec.encode(recorded(EVENTS[name])) == expected
        encoded = codec.encode_event(EVENTS[name])
        assert codec.encode(recorded(EVENTS[name]), encoded) == expected


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"41",
        b"[]",
        b'"text"',
        b"{}",
        golden("ticket.renamed.1")[:-2],
        altered("ticket.renamed.1", lambda e: e.pop("recorded_at")),
        altered("ticket.renamed.1", lambda e: e.update(recorded_at="yesterday")),
        altered("ticket.renamed.1", lambda e: e.update(data=None)),
        altered("ticket.renamed.1", lambda e: e["data"].pop("name")),
        altered("ticket.renamed.1", lambda e: e["data"].update(name=5)),
        altered("ticket.renamed.1", lambda e: e["data"].update(colour="red")),
        altered("ticket.renamed.1", lambda e: e["data"]["origin"].pop("actor")),
        altered("ticket.renamed.1", lambda e: e["data"]["origin"].update(device="phone")),
        altered("ticket.renamed.1", lambda e: e.update(shape=2)),
        altered("ticket.renamed.1", lambda e: e.update(shape=0)),
        altered("ticket.renamed.1", lambda e: e.update(shape="new")),
        golden("ticket.created.1"),
    ],
)
def test_bytes_that_were_never_written_are_refused_with_their_position(state: bytes) -> None:
    with pytest.raises(EventUnreadable) as refused:
        codec.decode(stored(state))
    assert (refused.value.position, refused.value.ticket_id) == (41, FOREMAN)
    assert f"position 41 (ticket.renamed, ticket {FOREMAN}, version 3)" in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda envelope: envelope["data"].update(name=["a secret"]),
        lambda envelope: envelope["data"]["origin"].update(reason=["a secret"]),
        lambda envelope: envelope["data"].update(note="a secret"),
        lambda envelope: envelope.update(data="a secret"),
        lambda envelope: envelope.update(recorded_at="a secret"),
    ],
)
def test_what_is_told_of_an_unreadable_event_never_quotes_it(
    wrong: Callable[[dict[str, Any]], object],
) -> None:
    with pytest.raises(EventUnreadable) as refused:
        codec.decode(stored(altered("ticket.renamed.1", wrong)))
    assert "a secret" not in "".join(format_exception(refused.value))


def test_what_is_told_of_an_unreadable_answer_never_quotes_it() -> None:
    body = b'{"fingerprint": ["a secret"]}'
    with pytest.raises(StoreCorrupt) as refused:
        codec.decode_answer("key-1", body)
    assert "a secret" not in "".join(format_exception(refused.value))


def test_an_event_nobody_knows_is_refused_with_its_position() -> None:
    with pytest.raises(StoreCorrupt, match=r"position 41 \(ticket\.painted, "):
        codec.decode(stored(golden("ticket.renamed.1"), "ticket.painted"))


def test_an_old_shape_is_read_through_every_upcaster_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def was_called_title(data: dict[str, Any]) -> dict[str, Any]:
        return {"origin": data["origin"], "label": data["title"]}

    def was_called_label(data: dict[str, Any]) -> dict[str, Any]:
        return {"origin": data["origin"], "name": data["label"]}

    monkeypatch.setitem(codec.SHAPES, "ticket.renamed", 3)
    monkeypatch.setitem(codec.UPCASTERS, ("ticket.renamed", 1), was_called_title)
    monkeypatch.setitem(codec.UPCASTERS, ("ticket.renamed", 2), was_called_label)

    event = EVENTS["ticket.renamed.1"]
    now = codec.encode(recorded(event)).state
    assert json.loads(now)["shape"] == 3

    def title(envelope: dict[str, Any]) -> None:
        envelope["data"]["title"] = envelope["data"].pop("name")

    def label(envelope: dict[str, Any]) -> None:
        envelope["data"]["label"] = envelope["data"].pop("name")
        envelope["shape"] = 2

    for state in (now, altered("ticket.renamed.1", title), altered("ticket.renamed.1", label)):
        assert codec.decode(stored(state)) == recorded(event)


def test_a_shape_without_its_upcaster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(codec.SHAPES, "ticket.renamed", 2)
    with pytest.raises(StoreCorrupt, match="position 41"):
        codec.decode(stored(golden("ticket.renamed.1")))


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
texts = st.lists(text, max_size=4).map(tuple)
moments = st.datetimes(timezones=st.just(UTC)).map(milliseconds)


@given(name=text, features=texts, reason=st.none() | text, moment=moments)
def test_whatever_is_written_comes_back(
    name: str, features: tuple[str, ...], reason: str | None, moment: datetime
) -> None:
    asked = replace(CLIENT, reason=reason, occurred_at=moment)
    event = replace(created(name, features), origin=asked)
    state = codec.encode(recorded(event)).state
    assert codec.decode(stored(state, event.TOPIC)) == recorded(event)


ANSWER: Final = Answer("key-1", "fp", FOREMAN, 3, 41, None)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (
            ANSWER,
            b'{"fingerprint":"fp","ticket_id":"52f22665a60c12d289185d95","version":3,'
            b'"position":41,"refusal":null}',
        ),
        (
            replace(
                ANSWER,
                refusal=VersionConflict("Stale.", (Fault("/name", "invalid-name", "Empty."),), 7),
            ),
            b'{"fingerprint":"fp","ticket_id":"52f22665a60c12d289185d95","version":3,'
            b'"position":41,"refusal":{"code":"version-conflict","detail":"Stale.","faults":'
            b'[{"pointer":"/name","code":"invalid-name","detail":"Empty."}],"version":7}}',
        ),
        (
            Answer(
                "key-1",
                "fp",
                "",
                0,
                42,
                None,
                (
                    ItemAnswer(FOREMAN, 3, 42, 2, None),
                    ItemAnswer(
                        "", 0, 0, 0, TicketNotFound("No.", (Fault("/items/1", "x", "No."),))
                    ),
                ),
            ),
            b'{"fingerprint":"fp","ticket_id":"","version":0,"position":42,"refusal":null,"items":'
            b'[{"ticket_id":"52f22665a60c12d289185d95","version":3,"position":42,"appended":2,'
            b'"refusal":null},{"ticket_id":"","version":0,"position":0,"appended":0,"refusal":'
            b'{"code":"ticket-not-found","detail":"No.","faults":[{"pointer":"/items/1","code":"x",'
            b'"detail":"No."}],"version":null}}]}',
        ),
        (
            replace(ANSWER, refusal=UnknownFeature("No.")),
            b'{"fingerprint":"fp","ticket_id":"52f22665a60c12d289185d95","version":3,'
            b'"position":41,"refusal":{"code":"unknown-feature","detail":"No.","faults":[],'
            b'"version":null}}',
        ),
        (
            replace(ANSWER, refusal=UnknownFeature("No."), catalogue="9f" * 32),
            b'{"fingerprint":"fp","ticket_id":"52f22665a60c12d289185d95","version":3,'
            b'"position":41,"refusal":{"code":"unknown-feature","detail":"No.","faults":[],'
            b'"version":null},"catalogue":"' + b"9f" * 32 + b'"}',
        ),
    ],
    ids=["accepted", "refused", "a list", "refused without a catalogue", "refused by a catalogue"],
)
def test_an_answer_is_stored_as_exactly_these_bytes(answer: Answer, body: bytes) -> None:
    kept = codec.encode_answer(answer)
    assert (kept.key, kept.body) == ("key-1", body)
    assert outline(codec.decode_answer("key-1", body)) == outline(answer)


@pytest.mark.parametrize("why", REFUSALS.values(), ids=list(REFUSALS))
def test_every_refusal_is_told_again_as_it_was(why: type[Refusal]) -> None:
    refusal = why("No.", (Fault("/features/0", "unknown-feature", "No."),), 5)
    kept = codec.encode_answer(replace(ANSWER, refusal=refusal))
    again = codec.decode_answer("key-1", kept.body)
    assert type(again.refusal) is why
    assert outline(again) == outline(replace(ANSWER, refusal=refusal))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"refusal":{"code":"unheard-of"}}'])
def test_an_answer_that_can_not_be_read_is_refused_with_its_key(body: bytes) -> None:
    with pytest.raises(StoreCorrupt, match="'key-1'"):
        codec.decode_answer("key-1", body)


def test_an_answer_with_a_refusal_nobody_knows_is_refused_with_its_key() -> None:
    body = codec.encode_answer(replace(ANSWER, refusal=VersionConflict("Stale."))).body
    with pytest.raises(StoreCorrupt, match="'key-1'"):
        codec.decode_answer("key-1", body.replace(b"version-conflict", b"unheard-of"))


def outline(answer: Answer) -> tuple[object, ...]:
    """All of an answer; exceptions are equal to nothing but themselves."""
    refusals = [answer.refusal, *(item.refusal for item in answer.items)]
    said = [
        refusal and (type(refusal), refusal.detail, refusal.faults, refusal.version)
        for refusal in refusals
    ]
    items = tuple(replace(item, refusal=None) for item in answer.items)
    return (replace(answer, refusal=None, items=items), *said)
