"""A list of submissions: decided in turn, stored together, each with a result of its own."""

from domain.deciding import Batch, Outcome, Submission, SubmissionList
from domain.errors import Refusal, TicketIsRetired, TicketNotFound, UnknownFeature
from domain.ticket.commands import Command
from domain.ticket.stream import UNBEGUN
from tests.support.stories import START, adjust, catalogue, change, create, id_, rename, retire

TICKETS = (id_(1), id_(2))


def batch() -> Batch:
    """A batch after position 10, with two tickets that have no events."""
    return Batch(10, START, catalogue(), dict.fromkeys(TICKETS, UNBEGUN), set())


def items(*commands: Command, atomic: bool = False) -> SubmissionList:
    return SubmissionList(tuple((command,) for command in commands), atomic)


MIXED = (
    create(TICKETS[0]),
    rename("Chief", TICKETS[1]),
    adjust(ticket_id=TICKETS[0], grant=("delete_area",)),
    change("fly", ticket_id=TICKETS[0]),
)


def test_each_item_is_decided_on_what_the_one_before_it_left() -> None:
    decided = batch()
    decided.take(items(*MIXED), {})
    (outcome,) = decided.results
    assert isinstance(outcome, Outcome)
    created, refused, granted, _ = outcome.items
    assert isinstance(created, Outcome) and isinstance(granted, Outcome)
    assert (created.version, granted.version) == (1, 2)
    assert isinstance(refused, TicketNotFound)
    assert [recorded.position for recorded in decided.events] == [11, 12]
    assert (outcome.position, outcome.appended) == (12, 2)


def test_a_refusal_points_below_its_item_whether_or_not_it_pointed_anywhere() -> None:
    decided = batch()
    decided.take(items(*MIXED), {})
    (outcome,) = decided.results
    assert isinstance(outcome, Outcome)
    refusals = [result for result in outcome.items if isinstance(result, Refusal)]
    pointers = [fault.pointer for refusal in refusals for fault in refusal.faults]
    assert pointers == ["/items/1", "/items/3/features/0"]


def test_an_atomic_list_that_is_refused_leaves_nothing_behind_for_its_neighbours() -> None:
    decided = batch()
    decided.take(items(create(TICKETS[1])), {})
    decided.take(
        items(
            create(TICKETS[0]),
            retire(TICKETS[1]),
            change("fly", ticket_id=TICKETS[0]),
            atomic=True,
        ),
        {},
    )
    decided.take(Submission((rename("Chief", TICKETS[1]),)), {})
    decided.take(Submission((rename("Chief", TICKETS[0]),)), {})
    first, refused, renamed, missing = decided.results
    assert isinstance(refused, UnknownFeature)
    assert [fault.pointer for fault in refused.faults] == ["/items/2/features/0"]
    assert isinstance(first, Outcome) and isinstance(renamed, Outcome)
    assert not isinstance(renamed, TicketIsRetired)
    assert isinstance(missing, TicketNotFound)
    assert [recorded.position for recorded in decided.events] == [11, 12]
    assert (renamed.version, renamed.position) == (2, 12)


def test_a_list_in_which_all_is_refused_is_at_no_position() -> None:
    decided = batch()
    decided.take(items(rename("Chief", TICKETS[0])), {})
    (outcome,) = decided.results
    assert isinstance(outcome, Outcome)
    assert (outcome.position, outcome.appended, decided.events) == (0, 0, [])
