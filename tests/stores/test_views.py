"""What a view promises its writer, on every store."""

from collections.abc import Iterator
from threading import Barrier, Thread

import pytest

from domain.errors import Fenced
from projections.audit.projection import TicketContent
from projections.running.projection import Parked, ViewChange
from tests.support.view_rows import (
    START,
    Opened,
    entries,
    entry,
    gone,
    id_,
    open_store,
    step,
    ticket,
)


@pytest.fixture
def stores(store_url: str) -> Iterator[Opened]:
    with open_store(store_url) as opened:
        yield opened


def test_a_new_view_is_empty_and_stands_at_the_beginning(stores: Opened) -> None:
    for view in (stores.tickets, stores.audit):
        assert view.checkpoint() == 0
        assert list(view.rows()) == []
        assert view.parked() == {}


def test_rows_and_checkpoint_move_together(stores: Opened) -> None:
    stores.tickets.apply(step(0, 2, ticket(1), ticket(2)), 0)

    assert stores.tickets.checkpoint() == 2
    assert dict(stores.tickets.rows()) == {id_(1): ticket(1), id_(2): ticket(2)}


def test_the_views_of_one_store_have_checkpoints_of_their_own(stores: Opened) -> None:
    stores.tickets.apply(step(0, 2, ticket(1)), 0)
    stores.audit.apply(entries(0, [entry(1)]), 0)

    assert (stores.tickets.checkpoint(), stores.audit.checkpoint()) == (2, 1)


def test_a_step_without_rows_moves_the_checkpoint(stores: Opened) -> None:
    stores.tickets.apply(ViewChange(0, 7, ()), 0)

    assert stores.tickets.checkpoint() == 7


def test_what_is_written_is_there_after_reopening(store_url: str, stores: Opened) -> None:
    stores.tickets.apply(step(0, 1, ticket(1)), 5)

    with open_store(store_url) as reopened:
        assert reopened.tickets.checkpoint() == 1
        assert reopened.tickets.get(id_(1)) == ticket(1)


def test_a_later_row_replaces_the_ticket_s_earlier_one(stores: Opened) -> None:
    later = ticket(1, name="Lead", features=("get_all", "get_area"), version=2, position=2)
    stores.tickets.apply(step(0, 1, ticket(1)), 0)
    stores.tickets.apply(step(1, 2, later), 0)

    assert list(stores.tickets.rows()) == [(id_(1), later)]


def test_a_ticket_that_has_no_row_any_more_is_gone(stores: Opened) -> None:
    stores.tickets.apply(step(0, 1, ticket(1)), 0)
    stores.tickets.apply(gone(1, 2, id_(1)), 0)

    assert list(stores.tickets.rows()) == []
    assert stores.tickets.get(id_(1)) is None


def test_an_id_that_is_no_object_id_may_be_without_a_row(stores: Opened) -> None:
    stores.tickets.apply(gone(0, 1, "not hex at all"), 0)

    assert stores.tickets.checkpoint() == 1
    assert stores.tickets.latest(["not hex at all"]) == {}


def test_a_step_from_another_checkpoint_is_refused_whole(stores: Opened) -> None:
    stores.tickets.apply(step(0, 1, ticket(1)), 0)

    with pytest.raises(Fenced):
        stores.tickets.apply(step(0, 2, ticket(2)), 0)

    assert stores.tickets.checkpoint() == 1
    assert dict(stores.tickets.rows()) == {id_(1): ticket(1)}


def test_a_step_with_a_row_the_store_refuses_leaves_nothing(stores: Opened) -> None:
    unusable = ticket(2, revision=2**70)

    with pytest.raises(OverflowError):
        stores.tickets.apply(step(0, 2, ticket(1), unusable), 0)

    assert stores.tickets.checkpoint() == 0
    assert list(stores.tickets.rows()) == []


def test_taking_over_shuts_lower_fences_out_for_good(stores: Opened) -> None:
    stores.tickets.apply(step(0, 1, ticket(1)), 3)

    assert stores.tickets.take_over(4) == 1
    for refused in (
        lambda: stores.tickets.apply(step(1, 2, ticket(2)), 3),
        lambda: stores.tickets.mend({id_(1): None}, 3),
        lambda: stores.tickets.take_over(3),
    ):
        with pytest.raises(Fenced):
            refused()
    assert dict(stores.tickets.rows()) == {id_(1): ticket(1)}


def test_the_same_fence_may_take_over_again(stores: Opened) -> None:
    stores.tickets.take_over(4)
    stores.tickets.apply(step(0, 1, ticket(1)), 4)

    assert stores.tickets.take_over(4) == 1


def test_a_higher_fence_needs_no_taking_over(stores: Opened) -> None:
    stores.tickets.apply(step(0, 1, ticket(1)), 9)

    with pytest.raises(Fenced):
        stores.tickets.apply(step(1, 2, ticket(2)), 8)


def test_of_writers_at_one_checkpoint_exactly_one_passes(store_url: str, stores: Opened) -> None:
    together = Barrier(4)
    passed: list[int] = []

    def write(number: int) -> None:
        with open_store(store_url) as mine:
            together.wait()
            try:
                mine.audit.apply(entries(0, [entry(1, actor=f"writer {number}")]), 1)
            except Fenced:
                return
            passed.append(number)

    writers = [Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [row and row.actor for _, row in stores.audit.rows()] == [f"writer {n}" for n in passed]
    assert len(passed) == 1


def test_parked_tickets_come_and_go_with_the_step(stores: Opened) -> None:
    first = Parked(id_(1), 1, "ValueError: no ticket", START)
    second = Parked("not hex at all", 2, "KeyError: 'x'", START)
    stores.tickets.apply(ViewChange(0, 2, (), [first, second]), 0)
    assert stores.tickets.parked() == {first.ticket_id: first, second.ticket_id: second}
    assert stores.audit.parked() == {}

    again = Parked(id_(1), 1, "ValueError: still none", START)
    stores.tickets.apply(ViewChange(2, 2, (), [again], ["not hex at all"]), 0)
    assert stores.tickets.parked() == {again.ticket_id: again}


def test_a_released_ticket_brings_the_entries_that_waited(stores: Opened) -> None:
    parked = Parked(id_(1), 1, "ValueError", START)
    stores.audit.apply(ViewChange(0, 3, [(id_(2), entry(2, ticket_id=id_(2)))], [parked]), 0)
    waited = [(id_(1), entry(1)), (id_(1), entry(3))]
    stores.audit.apply(ViewChange(3, 3, waited, (), [id_(1)]), 0)

    assert stores.audit.checkpoint() == 3
    assert [key for key, _ in stores.audit.rows()] == [1, 2, 3]
    assert stores.audit.parked() == {}


def test_a_big_view_is_read_whole_and_in_order(stores: Opened) -> None:
    many = [ticket(n, retired=n % 3 == 0) for n in range(1, 4_501)]
    stores.tickets.apply(step(0, 4_500, *many), 0)
    assert list(stores.tickets.rows()) == [(row.id, row) for row in many]


def test_single_rows_can_be_asked_for(stores: Opened) -> None:
    stores.tickets.apply(step(0, 3, ticket(1), ticket(2), ticket(3, retired=True)), 0)
    stores.audit.apply(entries(0, [entry(1), entry(2, ticket_id=id_(2)), entry(3)]), 0)

    asked = [id_(2), id_(3), id_(4), "no hex at all"]
    assert stores.tickets.stored(asked) == {
        id_(2): ticket(2),
        id_(3): ticket(3, retired=True),
    }
    assert stores.audit.stored([3, 4]) == {3: entry(3)}


def test_mending_puts_rows_in_the_place_of_whatever_is_there(stores: Opened) -> None:
    stores.tickets.apply(step(0, 3, ticket(1), ticket(2), ticket(3, retired=True)), 1)
    stores.audit.apply(entries(0, [entry(1), entry(2), entry(3)]), 1)

    stores.tickets.mend({id_(1): ticket(1, name="Lead"), id_(2): None, id_(4): ticket(4)}, 2)
    stores.audit.mend({2: None, 3: entry(3, actor="bob"), 4: entry(4)}, 2)

    right = [ticket(1, name="Lead"), ticket(3, retired=True), ticket(4)]
    assert dict(stores.tickets.rows()) == {row.id: row for row in right}
    assert [row for _, row in stores.audit.rows()] == [entry(1), entry(3, actor="bob"), entry(4)]
    assert stores.tickets.checkpoint() == stores.audit.checkpoint() == 3
    with pytest.raises(Fenced):
        stores.tickets.apply(step(3, 4, ticket(1)), 1)


def test_every_field_of_a_row_comes_back(stores: Opened) -> None:
    odd = ticket(
        1,
        name='مشغل "0"\n—',
        features=("b", "function () { return 'x'; }", "a"),
        retired=True,
        revision=3,
        version=2**31 + 5,
        position=2**31 + 7,
    )
    full = entry(
        2**31 + 7,
        version=2**31 + 5,
        reason="because",
        causation_id="cause",
        before=TicketContent("مشغل", ("b", "a"), retired=False),
        after=TicketContent("مشغل", ("b", "a"), retired=True),
        granted=(),
        revoked=("b", "a"),
    )
    bare = entry(2**31 + 8, org_id=None, system=None, after=None, granted=())
    stores.tickets.apply(step(0, 2**31 + 7, odd), 0)
    stores.audit.apply(entries(0, [full, bare]), 0)

    assert stores.tickets.get(id_(1)) == odd
    assert [row for _, row in stores.audit.rows()] == [full, bare]
