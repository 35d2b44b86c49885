"""What may happen to a ticket: given what has happened, when something is asked, then what."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import get_args

import pytest

from domain import errors
from domain.catalogue import Catalogue
from domain.errors import (
    REFUSALS,
    InvalidFeatures,
    InvalidName,
    Refusal,
    TicketExists,
    TicketIsRetired,
    TicketNotFound,
    UnknownFeature,
    UnknownSystem,
    VersionConflict,
)
from domain.origin import Origin, milliseconds
from domain.ticket import handlers
from domain.ticket.commands import Command
from domain.ticket.events import EVENT_TYPES, Event
from domain.ticket.handlers import FEATURES_PER_TICKET, NAME_LENGTH, decide
from domain.ticket.state import Ticket, evolve, fold
from domain.ticket.stream import Stream, is_change, stream_of
from tests.support.stories import (
    ACME,
    CATALOGUE,
    FOREMAN,
    GLOBEX,
    adjust,
    change,
    changed,
    create,
    created,
    imported,
    minute,
    origin,
    quarantine,
    quarantined,
    remove,
    removed,
    rename,
    renamed,
    restore,
    restored,
    retire,
    retired,
    stream,
    take_over,
)


@dataclass(frozen=True)
class Story:
    """`given(events).when(command).then(events)`, or `.then_nothing()`, or `.then_refused(why)`."""

    past: tuple[Event, ...]
    command: Command | None = None

    def when(self, command: Command) -> "Story":
        return replace(self, command=command)

    def then(self, *expected: Event) -> None:
        assert self._decided() == expected

    def then_nothing(self) -> None:
        assert self._decided() == ()

    def then_refused(self, why: type[Refusal]) -> Refusal:
        with pytest.raises(Refusal) as refused:
            self._decided()
        assert type(refused.value) is why
        return refused.value

    def _decided(self) -> tuple[Event, ...]:
        assert self.command
        return decide(self.command, stream_of(stream(self.past)), CATALOGUE)


def given(*past: Event) -> Story:
    return Story(past)


def ticket_after(*past: Event) -> Ticket:
    ticket = fold(stream(past))
    assert ticket
    return ticket


# Creating


def test_creating_a_ticket_makes_it() -> None:
    given().when(create()).then(created())


def test_a_created_ticket_keeps_the_caller_s_order_and_each_name_once() -> None:
    wanted = ("delete_area", "get_all", "delete_area", "create_worker", "get_all")
    given().when(create(features=wanted)).then(
        created(features=("delete_area", "get_all", "create_worker"))
    )


def test_a_ticket_may_hold_no_feature() -> None:
    given().when(create(features=())).then(created(features=()))


def test_an_id_is_given_once() -> None:
    given(created()).when(create()).then_refused(TicketExists)


def test_the_id_of_a_retired_ticket_stays_taken() -> None:
    given(created(), retired()).when(create()).then_refused(TicketExists)


def test_a_quarantined_record_leaves_its_id_free() -> None:
    given(quarantined()).when(create()).then(created())


def test_a_system_that_is_not_in_the_catalogue_is_refused_with_the_nearest_name() -> None:
    refusal = given().when(create(system="workforce2")).then_refused(UnknownSystem)
    assert refusal.detail == "There is no system 'workforce2'. Did you mean 'workforce_2'?"
    assert [(f.pointer, f.code) for f in refusal.faults] == [("/system", "unknown-system")]


def test_each_feature_that_the_system_does_not_have_is_named_with_the_nearest_one() -> None:
    wanted = ("get_all", "creat_worker", "get_forecast")
    refusal = given().when(create(features=wanted)).then_refused(UnknownFeature)
    assert [(f.pointer, f.code) for f in refusal.faults] == [
        ("/features/1", "unknown-feature"),
        ("/features/2", "unknown-feature"),
    ]
    assert refusal.faults[0].detail == (
        "workforce_2 has no feature 'creat_worker'. Did you mean 'create_worker'?"
    )


def test_of_many_unknown_features_the_first_are_named_and_the_rest_counted() -> None:
    wanted = ("get_all", *("create_workex" for _ in range(30)))
    refusal = given().when(create(features=wanted)).then_refused(UnknownFeature)
    *named, rest = refusal.faults
    assert [fault.pointer for fault in named] == [f"/features/{n}" for n in range(1, 21)]
    assert ["Did you mean" in fault.detail for fault in named] == [True] * 3 + [False] * 17
    assert (rest.pointer, rest.detail) == ("/features", "10 more are unknown.")


def test_a_refusal_quotes_64_characters_of_a_name_at_most() -> None:
    long, cut = "x" * 65, f"'{'x' * 63}…'"
    refusals: list[Refusal] = [
        given().when(create(features=(long,))).then_refused(UnknownFeature),
        given().when(create(system=long)).then_refused(UnknownSystem),
    ]
    for refusal in refusals:
        assert cut in refusal.detail and cut in refusal.faults[0].detail
        assert long not in refusal.detail + refusal.faults[0].detail


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    refusal = given().when(create(features=("zzz",))).then_refused(UnknownFeature)
    assert refusal.detail == "workforce_2 has no feature 'zzz'."


@pytest.mark.parametrize(
    "name",
    [
        *("", "   ", "\t", "\u200b\u200b"),
        "x" * (NAME_LENGTH + 1),
        *("two\nlines", "two\u2028lines", "two\u2029paragraphs"),
        *("bell\x07", "lone \ud800", "turned \u202e round"),
    ],
)
def test_a_name_must_be_short_and_visible(name: str) -> None:
    for story in (given().when(create(name=name)), given(created()).when(rename(name))):
        refusal = story.then_refused(InvalidName)
        assert [(f.pointer, f.code) for f in refusal.faults] == [("/name", "invalid-name")]


@pytest.mark.parametrize("name", ["x", "x" * NAME_LENGTH, "Vorarbeiter für Süd 🧶", " padded "])
def test_a_name_is_kept_as_it_was_written(name: str) -> None:
    given().when(create(name=name)).then(created(name=name))


def test_more_features_than_the_limit_are_refused_and_the_limit_itself_is_not() -> None:
    many = ("get_all",) * FEATURES_PER_TICKET
    given().when(create(features=many)).then(created(features=("get_all",)))
    given(created()).when(change(*many)).then(changed(("get_all",), (), ("create_worker",)))
    too_many = (*many, "get_all")
    for story in (
        given().when(create(features=too_many)),
        given(created()).when(change(*too_many)),
    ):
        refusal = story.then_refused(InvalidFeatures)
        assert [(f.pointer, f.code) for f in refusal.faults] == [("/features", "invalid-features")]


# Renaming and changing features


def test_renaming_renames() -> None:
    given(created()).when(rename("Chief")).then(renamed("Chief"))


def test_renaming_to_the_same_name_changes_nothing() -> None:
    given(created(name="Chief")).when(rename("Chief")).then_nothing()


def test_what_was_imported_against_the_rules_is_no_change_when_it_is_sent_back() -> None:
    odd = given(imported(name="x\t" * NAME_LENGTH, features=("get_all", "print_labels")))
    odd.when(rename("x\t" * NAME_LENGTH)).then_nothing()
    odd.when(change("get_all", "print_labels")).then_nothing()
    odd.when(change("print_labels")).then_refused(UnknownFeature)


def test_changing_features_says_what_was_granted_and_revoked() -> None:
    given(created(features=("get_all", "create_worker"))).when(
        change("delete_area", "create_worker")
    ).then(changed(("delete_area", "create_worker"), ("delete_area",), ("get_all",)))


def test_another_order_is_a_change_that_grants_and_revokes_nothing() -> None:
    given(created(features=("get_all", "create_worker"))).when(
        change("create_worker", "get_all")
    ).then(changed(("create_worker", "get_all")))


@pytest.mark.parametrize(
    "same",
    [("get_all", "create_worker"), ("get_all", "create_worker", "get_all")],
    ids=["as held", "as held and repeated"],
)
def test_the_features_a_ticket_holds_already_change_nothing(same: tuple[str, ...]) -> None:
    given(created(features=("get_all", "create_worker"))).when(change(*same)).then_nothing()


def test_all_features_can_be_revoked() -> None:
    given(created(features=("get_all",))).when(change()).then(changed((), (), ("get_all",)))


def test_features_are_those_of_the_ticket_s_own_system() -> None:
    given(created()).when(change("get_forecast")).then_refused(UnknownFeature)


# Granting and revoking


def test_a_granted_feature_comes_last_and_the_others_keep_their_order() -> None:
    given(created(features=("get_all", "create_worker"))).when(
        adjust(grant=("delete_area", "get_all", "delete_area"))
    ).then(changed(("get_all", "create_worker", "delete_area"), ("delete_area",)))


def test_a_revoked_feature_goes_and_the_others_keep_their_order() -> None:
    given(created(features=("get_all", "create_worker", "delete_area"))).when(
        adjust(revoke=("create_worker",))
    ).then(changed(("get_all", "delete_area"), (), ("create_worker",)))


def test_two_adjustments_from_the_same_view_never_undo_each_other() -> None:
    granted = changed(("get_all", "create_worker", "delete_area"), ("delete_area",))
    given(created(features=("get_all", "create_worker")), granted).when(
        adjust(revoke=("get_all",))
    ).then(changed(("create_worker", "delete_area"), (), ("get_all",)))


@pytest.mark.parametrize(
    "command",
    [adjust(), adjust(grant=("get_all",)), adjust(revoke=("delete_area",))],
    ids=["of nothing", "granting what is held", "revoking what is not held"],
)
def test_an_adjustment_can_change_nothing(command: Command) -> None:
    given(created()).when(command).then_nothing()


def test_a_misspelt_feature_is_refused_with_the_nearest_in_either_list() -> None:
    for command, pointer in (
        (adjust(grant=("get_all", "delete_aera")), "/grant/1"),
        (adjust(grant=("delete_area",), revoke=("create_wroker",)), "/revoke/0"),
    ):
        refusal = given(created()).when(command).then_refused(UnknownFeature)
        assert [fault.pointer for fault in refusal.faults] == [pointer]
        assert "Did you mean" in refusal.detail


def test_a_feature_that_left_the_catalogue_can_be_revoked_and_does_not_bar_a_grant() -> None:
    odd = given(imported(features=("get_all", "print_labels")))
    odd.when(adjust(revoke=("print_labels",))).then(changed(("get_all",), (), ("print_labels",)))
    odd.when(adjust(grant=("print_labels", "delete_area"))).then(
        changed(("get_all", "print_labels", "delete_area"), ("delete_area",))
    )


def test_a_feature_is_not_granted_and_revoked_at_once() -> None:
    command = adjust(grant=("get_all",), revoke=("delete_area", "get_all"))
    refusal = given(created()).when(command).then_refused(InvalidFeatures)
    assert [fault.pointer for fault in refusal.faults] == ["/revoke/1"]


def test_a_grant_may_not_fill_a_ticket_beyond_its_limit_but_a_revoke_may_empty_a_fuller_one() -> (
    None
):
    full = given(imported(features=tuple(f"old_{n}" for n in range(FEATURES_PER_TICKET + 2))))
    refusal = full.when(adjust(grant=("get_all",))).then_refused(InvalidFeatures)
    assert [fault.pointer for fault in refusal.faults] == ["/grant"]
    assert len(full.when(adjust(revoke=("old_0",)))._decided()) == 1


# Retiring and restoring


def test_a_ticket_in_use_can_be_retired() -> None:
    given(created()).when(retire()).then(retired())


def test_retiring_twice_changes_nothing() -> None:
    given(created(), retired()).when(retire()).then_nothing()


def test_a_retired_ticket_can_be_restored() -> None:
    given(created(), retired()).when(restore()).then(restored())


def test_restoring_a_ticket_in_use_changes_nothing() -> None:
    given(created()).when(restore()).then_nothing()


@pytest.mark.parametrize(
    "command",
    [rename("Chief"), change("get_all"), adjust(grant=("delete_area",))],
    ids=["name", "features", "grant"],
)
def test_a_retired_ticket_must_be_restored_before_it_changes(command: Command) -> None:
    given(created(), retired()).when(command).then_refused(TicketIsRetired)
    assert len(given(created(), retired(), restored()).when(command)._decided()) == 1


# Whose ticket, and which version of it

Asking = Callable[..., Command]

CHANGES = pytest.mark.parametrize(
    "asking",
    [
        lambda **who: rename("Chief", **who),
        lambda **who: change("get_all", **who),
        lambda **who: adjust(grant=("delete_area",), **who),
        retire,
        restore,
    ],
    ids=["rename", "change features", "grant", "retire", "restore"],
)


@CHANGES
def test_a_ticket_that_was_never_made_is_not_found(asking: Asking) -> None:
    given().when(asking()).then_refused(TicketNotFound)
    given(quarantined()).when(asking()).then_refused(TicketNotFound)


@CHANGES
def test_another_organisation_s_ticket_is_not_found(asking: Asking) -> None:
    theirs = given(created()).when(asking(within=GLOBEX, expected=99))
    nobody_s = given().when(asking(within=GLOBEX, expected=99))
    refused, not_found = (s.then_refused(TicketNotFound) for s in (theirs, nobody_s))
    assert (refused.detail, refused.version) == (not_found.detail, not_found.version)


@CHANGES
def test_platform_staff_may_touch_any_ticket(asking: Asking) -> None:
    assert given(created()).when(asking(within=None))._decided() == (
        given(created()).when(asking(within=ACME))._decided()
    )


@CHANGES
@pytest.mark.parametrize("stale", [0, 1, 3])
def test_only_the_current_version_may_be_changed(asking: Asking, stale: int) -> None:
    past = (created(), renamed("Chief"))
    refusal = given(*past).when(asking(expected=stale)).then_refused(VersionConflict)
    assert refusal.version == 2
    given(*past).when(asking(expected=2))._decided()


# Taking legacy records over


def test_a_record_becomes_a_ticket() -> None:
    given().when(take_over()).then(imported())


def test_the_same_record_twice_changes_nothing() -> None:
    given(imported()).when(take_over()).then_nothing()


@pytest.mark.parametrize(
    "newer",
    [
        imported(name="Chief", updated=5),
        imported(features=("get_all", "delete_area"), updated=5),
        imported(updated=5),
        imported(revision=8),
        replace(imported(), created_at=minute(-5)),
        imported(name="mended otherwise"),
    ],
    ids=["name", "features", "time", "revision", "birth", "repairs"],
)
def test_a_record_that_changed_since_replaces_the_ticket_s_content(newer: Event) -> None:
    assert newer != imported()
    given(imported()).when(take_over(newer)).then(newer)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "here", [renamed("Chief", at=9), changed((), (), ("get_all",), at=9), retired(at=9)]
)
def test_migrating_again_does_not_undo_what_was_changed_here_since(here: Event) -> None:
    given(imported(), here).when(take_over()).then_nothing()
    given(imported(), here).when(take_over(imported(name="Old", updated=8))).then_nothing()


def test_a_record_changed_later_than_the_ticket_is_taken_over() -> None:
    newer = imported(name="Newest", updated=10)
    given(imported(), renamed("Chief", at=9)).when(take_over(newer)).then(newer)


@pytest.mark.parametrize(
    "other", [imported(org_id=GLOBEX, updated=5), imported(system="donear_3", updated=5)]
)
def test_a_record_never_moves_a_ticket_to_another_organisation_or_system(other: Event) -> None:
    given(imported()).when(take_over(other)).then_refused(TicketExists)  # type: ignore[arg-type]


def test_an_imported_ticket_may_hold_what_the_catalogue_never_knew() -> None:
    strange = imported(name="", features=("long_gone",))
    given().when(take_over(strange)).then(strange)


def test_a_record_that_can_be_no_ticket_is_kept_whole() -> None:
    given().when(quarantine()).then(quarantined())
    given(created()).when(quarantine()).then(quarantined())
    given(removed()).when(quarantine()).then(quarantined())


def test_a_record_is_in_quarantine_once_until_it_changes_or_is_taken_over() -> None:
    other = replace(quarantined(), source=replace(quarantined().source, digest="ef" * 32))
    given(quarantined()).when(quarantine()).then_nothing()
    given(quarantined(), renamed("Chief")).when(quarantine()).then_nothing()
    given(other).when(quarantine()).then(quarantined())
    given(quarantined(), imported()).when(quarantine()).then(quarantined())


def test_a_record_that_was_in_quarantine_becomes_a_ticket_once_it_can() -> None:
    given(quarantined()).when(take_over()).then(imported())
    given(imported(), quarantined()).when(take_over()).then(imported())


def test_an_older_record_is_taken_over_as_long_as_nothing_changed_here() -> None:
    older = imported(name="As it was", updated=-5)
    given(imported()).when(take_over(older)).then(older)
    given(imported(), renamed("Chief", at=-9), imported()).when(take_over(older)).then(older)


def test_a_record_that_did_not_change_never_undoes_a_change_made_here() -> None:
    given(imported(updated=50), renamed("Chief", at=9)).when(
        take_over(imported(updated=50))
    ).then_nothing()


def test_a_record_that_is_gone_retires_its_ticket_once() -> None:
    given(imported()).when(remove()).then(removed())
    given(imported(), removed()).when(remove()).then_nothing()
    ticket = ticket_after(imported(), removed())
    assert (ticket.retired, ticket.updated_at) == (True, minute(100))


def test_a_record_that_is_gone_is_one_of_its_own_system() -> None:
    system = imported().system
    given(imported()).when(remove(system=system)).then(removed())
    given(imported()).when(remove(system=f"not {system}")).then_nothing()


def test_a_record_that_comes_back_is_a_ticket_again() -> None:
    given(imported(), removed()).when(take_over()).then(imported())


def test_a_record_that_is_gone_leaves_quarantine() -> None:
    given(quarantined()).when(remove()).then(removed())
    given(quarantined(), removed()).when(quarantine()).then(quarantined())


@pytest.mark.parametrize("past", [(), (created(),), (imported(), renamed("Chief"))])
def test_a_record_that_is_gone_touches_nothing_that_began_or_changed_here(
    past: tuple[Event, ...],
) -> None:
    given(*past).when(remove()).then_nothing()


@pytest.mark.parametrize(
    "command", [take_over(imported("Late"), read_at=15), quarantine(read_at=15), remove(read_at=15)]
)
def test_what_was_read_before_the_stream_moved_on_changes_nothing(command: Command) -> None:
    given(imported(), imported("Newer", updated=5)).when(command).then_nothing()
    assert len(given(imported()).when(command)._decided()) == 1


def test_only_what_repeats_the_old_system_is_no_change() -> None:
    assert [event.TOPIC for event in HAPPENINGS if not is_change(event)] == [
        "ticket.imported",
        "legacy_record.quarantined",
        "legacy_record.removed",
    ]


# Folding


HAPPENINGS: list[Event] = [
    created(),
    imported(),
    renamed("Chief"),
    changed(("get_all",), (), ("create_worker",)),
    retired(),
    restored(),
    quarantined(),
    removed(),
]


def test_every_kind_of_event_is_among_the_happenings() -> None:
    assert tuple(type(event) for event in HAPPENINGS) == EVENT_TYPES
    assert set(EVENT_TYPES) == set(get_args(Event))


def test_topics_are_one_per_event_and_stay_for_ever() -> None:
    assert [event_type.TOPIC for event_type in EVENT_TYPES] == [
        "ticket.created",
        "ticket.imported",
        "ticket.renamed",
        "ticket.features_changed",
        "ticket.retired",
        "ticket.restored",
        "legacy_record.quarantined",
        "legacy_record.removed",
    ]


def test_any_event_may_follow_any_other_and_evolve_never_refuses() -> None:
    for length in (1, 2, 3):
        for past in product(HAPPENINGS, repeat=length):
            ticket = fold(stream(past))
            if ticket is not None:
                assert (ticket.version, ticket.position) == (length, 10 * length)
            began = any(event.TOPIC in ("ticket.created", "ticket.imported") for event in past)
            assert (ticket is not None) == began


def test_a_created_ticket_holds_what_was_asked_for() -> None:
    assert ticket_after(created()) == Ticket(
        id=FOREMAN,
        org_id=ACME,
        system="workforce_2",
        name="Foreman",
        features=("get_all", "create_worker"),
        created_at=minute(0),
        updated_at=minute(0),
        retired=False,
        revision=0,
        version=1,
        position=10,
    )


def test_an_imported_ticket_keeps_the_record_s_times_and_revision() -> None:
    ticket = ticket_after(imported(updated=3))
    assert (ticket.created_at, ticket.updated_at, ticket.revision) == (minute(0), minute(3), 7)


@pytest.mark.parametrize(
    ("event", "shows"),
    [
        (renamed("Chief", at=4), {"name": "Chief"}),
        (changed(("get_all",), (), ("create_worker",), at=4), {"features": ("get_all",)}),
        (retired(at=4), {"retired": True}),
        (restored(at=4), {"retired": False}),
    ],
    ids=["renamed", "features changed", "retired", "restored"],
)
def test_each_change_shows_in_the_ticket_and_in_nothing_else(
    event: Event, shows: dict[str, object]
) -> None:
    before = ticket_after(created())
    after = ticket_after(created(), event)
    expected = shows | {"version": 2, "position": 20, "updated_at": minute(4)}
    assert after == replace(before, **expected)  # type: ignore[arg-type]


def test_a_quarantined_record_beside_a_ticket_moves_its_version_alone() -> None:
    before = ticket_after(created())
    assert ticket_after(created(), quarantined()) == replace(before, version=2, position=20)


def test_folding_goes_on_from_any_point() -> None:
    events = stream([created(), renamed("Chief"), retired(), restored(), renamed("Boss")])
    for split in range(1, len(events)):
        ticket = fold(events[:split])
        for recorded in events[split:]:
            ticket = evolve(ticket, recorded)
        assert ticket == fold(events)


@pytest.fixture
def tighter_rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalogue]:
    """Tomorrow: names of three letters, one feature a ticket, and another catalogue."""
    monkeypatch.setattr(handlers, "NAME_LENGTH", 3)
    monkeypatch.setattr(handlers, "FEATURES_PER_TICKET", 1)
    yield Catalogue({})


def test_an_old_ticket_stays_readable_when_every_rule_tightens(tighter_rules: Catalogue) -> None:
    past = stream([created(), changed(("delete_area", "get_all"), ("delete_area",)), retired()])
    ticket = fold(past)
    assert ticket
    assert (ticket.name, ticket.features) == ("Foreman", ("delete_area", "get_all"))
    assert decide(restore(), stream_of(past), tighter_rules) == (restored(),)
    with pytest.raises(Refusal):
        decide(create(), Stream(), tighter_rules)


# Errors, origins, times


def test_every_refusal_has_a_code_of_its_own_and_can_be_told_again() -> None:
    assert {refusal.code: refusal for refusal in Refusal.__subclasses__()} == REFUSALS


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = {
        line.strip("│├└─ ").split()[0]
        for line in (errors.__doc__ or "").splitlines()
        if "── " in line
    }
    written = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.TicketbookError)
    }
    assert drawn == written - {"TicketbookError"}


def test_no_field_of_an_origin_has_a_default() -> None:
    with pytest.raises(TypeError):
        Origin()  # type: ignore[call-arg]
    for field in fields(Origin):
        others = {f.name: getattr(origin(), f.name) for f in fields(Origin) if f is not field}
        with pytest.raises(TypeError, match=field.name):
            Origin(**others)


def test_times_are_cut_to_milliseconds_in_utc() -> None:
    berlin = timezone(timedelta(hours=2))
    moment = datetime(2024, 8, 23, 5, 52, 50, 891999, tzinfo=berlin)
    assert milliseconds(moment) == datetime(2024, 8, 23, 3, 52, 50, 891000, tzinfo=UTC)
    assert milliseconds(moment).tzinfo is UTC
