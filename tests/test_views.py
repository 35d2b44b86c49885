"""What a view promises its writer, on every store."""

from collections.abc import Iterator
from threading import Barrier, Thread

import pytest

from domain.errors import Fenced
from infrastructure.stores import Stores
from projections.audit import Content
from projections.projection import Change, Parked
from tests.view_rows import START, entries, entry, gone, id_, nothing, open_store, step, ticket


@pytest.fixture
def stores(store_url: str) -> Iterator[Stores]:
    with open_store(store_url) as opened:
        yield opened


def test_a_new_view_is_empty_and_stands_at_the_beginning(stores: Stores) -> None:
    for view in (stores.tickets, stores.audit):
        assert view.checkpoint() == 0
        assert list(view.rows()) == []
        assert view.parked() == {}


def test_rows_and_checkpoint_move_together(stores: Stores) -> None:
    stores.tickets.apply(step(0, 2, ticket(1), ticket(2)), 0)

    assert stores.tickets.checkpoint() == 2
    assert dict(stores.tickets.rows()) == {id_(1): ticket(1), id_(2): ticket(2)}


def test_the_views_of_one_store_have_checkpoints_of_their_own(stores: Stores) -> None:
    stores.tickets.apply(step(0, 2, ticket(1)), 0)
    stores.audit.apply(entries(0, [entry(1)]), 0)

    assert (stores.tickets.checkpoint(), stores.audit.checkpoint()) == (2, 1)


def test_a_step_without_rows_moves_the_checkpoint(stores: Stores) -> None:
    stores.tickets.apply(Change(0, 7, ()), 0)

    assert stores.tickets.checkpoint() == 7


def test_what_is_written_is_there_after_reopening(store_url: str, stores: Stores) -> None:
    stores.tickets.apply(step(0, 1, ticket(1)), 5)

    with open_store(store_url) as reopened:
        assert reopened.tickets.checkpoint() == 1
        assert reopened.tickets.get(id_(1)) == ticket(1)


def test_a_later_row_replaces_the_ticket_s_earlier_one(stores: Stores) -> None:
    later = ticket(1, name="Lead", features=("get_all", "get_area"), version=2, position=2)
    stores.tickets.apply(step(0, 1, ticket(1)), 0)
    stores.tickets.apply(step(1, 2, later), 0)

    assert list(stores.tickets.rows()) == [(id_(1), later)]


def test_a_ticket_that_has_no_row_any_more_is_gone(stores: Stores) -> None:
    stores.tickets.apply(step(0, 1, ticket(1)), 0)
    stores.tickets.apply(gone(1, 2, id_(1)), 0)

    assert list(stores.tickets.rows()) == []
    assert stores.tickets.get(id_(1)) is None


def test_an_id_that_is_no_object_id_may_be_without_a_row(stores: Stores) -> None:
    stores.tickets.apply(gone(0, 1, "not hex at all"), 0)

    assert stores.tickets.checkpoint() == 1
    assert stores.tickets.latest(["not hex at all"]) == {}


def test_a_step_from_another_checkpoint_is_refused_whole(stores: Stores) -> None:
    stores.tickets.apply(step(0, 1, ticket(1)), 0)

    with pytest.raises(Fenced):
        stores.tickets.apply(step(0, 2, ticket(2)), 0)

    assert stores.tickets.checkpoint() == 1
    assert dict(stores.tickets.rows()) == {id_(1): ticket(1)}


def test_a_step_with_a_row_the_store_refuses_leaves_nothing(stores: Stores) -> None:
    unusable = ticket(2, revision=2**70)

    with pytest.raises(OverflowError):
        stores.tickets.apply(step(0, 2, ticket(1), unusable), 0)

    assert stores.tickets.checkpoint() == 0
    assert list(stores.tickets.rows()) == []


def test_taking_over_shuts_lower_fences_out_for_good(stores: Stores) -> None:
    stores.tickets.apply(step(0, 1, ticket(1)), 3)

    assert stores.tickets.take_over(4) == 1
    for refused in (
        lambda: stores.tickets.apply(step(1, 2, ticket(2)), 3),
        lambda: stores.tickets.clear(3, nothing),
        lambda: stores.tickets.take_over(3),
    ):
        with pytest.raises(Fenced):
            refused()
    assert dict(stores.tickets.rows()) == {id_(1): ticket(1)}


def test_the_same_fence_may_take_over_again(stores: Stores) -> None:
    stores.tickets.take_over(4)
    stores.tickets.apply(step(0, 1, ticket(1)), 4)

    assert stores.tickets.take_over(4) == 1


def test_a_higher_fence_needs_no_taking_over(stores: Stores) -> None:
    stores.tickets.apply(step(0, 1, ticket(1)), 9)

    with pytest.raises(Fenced):
        stores.tickets.apply(step(1, 2, ticket(2)), 8)


def test_of_writers_at_one_checkpoint_exactly_one_passes(store_url: str, stores: Stores) -> None:
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
    assert [row.actor for _, row in stores.audit.rows()] == [f"writer {n}" for n in passed]
    assert len(passed) == 1


def test_parked_tickets_come_and_go_with_the_step(stores: Stores) -> None:
    first = Parked(id_(1), 1, "ValueError: no ticket", START)
    second = Parked("not hex at all", 2, "KeyError: 'x'", START)
    stores.tickets.apply(Change(0, 2, (), [first, second]), 0)
    assert stores.tickets.parked() == {first.ticket_id: first, second.ticket_id: second}
    assert stores.audit.parked() == {}

    again = Parked(id_(1), 1, "ValueError: still none", START)
    stores.tickets.apply(Change(2, 2, (), [again], ["not hex at all"]), 0)
    assert stores.tickets.parked() == {again.ticket_id: again}


def test_a_released_ticket_brings_the_entries_that_waited(stores: Stores) -> None:
    parked = Parked(id_(1), 1, "ValueError", START)
    stores.audit.apply(Change(0, 3, [(id_(2), entry(2, ticket_id=id_(2)))], [parked]), 0)
    waited = [(id_(1), entry(1)), (id_(1), entry(3))]
    stores.audit.apply(Change(3, 3, waited, (), [id_(1)]), 0)

    assert stores.audit.checkpoint() == 3
    assert sorted(row.position for _, row in stores.audit.rows()) == [1, 2, 3]
    assert stores.audit.parked() == {}


def test_clearing_leaves_nothing_but_the_fence(stores: Stores) -> None:
    stores.audit.apply(entries(0, [entry(1)]), 0)
    kept = dict(stores.audit.rows())
    parked = Parked(id_(2), 2, "ValueError", START)
    retired = ticket(3, retired=True)
    stores.tickets.apply(Change(0, 3, [(id_(1), ticket(1)), (id_(3), retired)], [parked]), 1)

    stores.tickets.clear(2, nothing)

    assert stores.tickets.checkpoint() == 0
    assert list(stores.tickets.rows()) == []
    assert stores.tickets.parked() == {}
    with pytest.raises(Fenced):
        stores.tickets.apply(step(0, 1, ticket(1)), 1)
    assert dict(stores.audit.rows()) == kept


def test_applying_again_after_clearing_gives_the_same_rows(stores: Stores) -> None:
    rows = [entry(n, ticket_id=id_(n % 7), granted=("get_all", f"f{n % 3}")) for n in range(1, 60)]
    stores.audit.apply(entries(0, rows), 1)
    before = sorted(stores.audit.rows(), key=lambda row: row[1].position)

    stores.audit.clear(1, nothing)
    for start in range(0, 59, 10):
        stores.audit.apply(entries(start, rows[start : start + 10]), 1)

    after = sorted(stores.audit.rows(), key=lambda row: row[1].position)
    assert after == before == [(row.ticket_id, row) for row in rows]


def test_a_big_view_is_read_and_cleared_whole(stores: Stores) -> None:
    many = [ticket(n, retired=n % 3 == 0) for n in range(1, 4_501)]
    stores.tickets.apply(step(0, 4_500, *many), 0)
    assert sorted(stores.tickets.rows()) == [(row.id, row) for row in many]

    stores.tickets.clear(0, nothing)
    assert list(stores.tickets.rows()) == []


def test_the_rows_of_one_ticket_can_be_asked_for(stores: Stores) -> None:
    stores.tickets.apply(step(0, 3, ticket(1), ticket(2), ticket(3, retired=True)), 0)
    stores.audit.apply(entries(0, [entry(1), entry(2, ticket_id=id_(2)), entry(3)]), 0)

    assert list(stores.tickets.rows(id_(2))) == [(id_(2), ticket(2))]
    assert list(stores.tickets.rows(id_(3))) == [(id_(3), ticket(3, retired=True))]
    assert list(stores.tickets.rows(id_(4))) == []
    assert sorted(row.position for _, row in stores.audit.rows(id_(1))) == [1, 3]


def test_every_field_of_a_row_comes_back(stores: Stores) -> None:
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
        before=Content("مشغل", ("b", "a"), retired=False),
        after=Content("مشغل", ("b", "a"), retired=True),
        granted=(),
        revoked=("b", "a"),
    )
    bare = entry(2**31 + 8, org_id=None, system=None, after=None, granted=())
    stores.tickets.apply(step(0, 2**31 + 7, odd), 0)
    stores.audit.apply(entries(0, [full, bare]), 0)

    assert stores.tickets.get(id_(1)) == odd
    assert [row for _, row in stores.audit.rows()] == [full, bare]
