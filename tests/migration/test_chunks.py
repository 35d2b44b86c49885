"""Much in parts of a bounded size."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from infrastructure.migration.chunks import ahead, parts


@given(st.lists(st.binary(max_size=12)), st.integers(1, 5), st.integers(1, 20))
def test_parts_hold_all_records_in_their_order_within_both_bounds(
    records: list[bytes], count: int, length: int
) -> None:
    found = list(parts(records, count, length))
    assert [record for part in found for record in part] == records
    for number, part in enumerate(found):
        assert 1 <= len(part) <= count
        assert len(part) == 1 or sum(map(len, part)) <= length
        if number and len(found[number - 1]) < count:  # no part is smaller than it must be
            assert sum(map(len, found[number - 1])) + len(part[0]) > length


def test_so_many_are_begun_before_the_first_is_handed_on() -> None:
    begun: list[int] = []

    def work() -> Iterator[int]:
        for number in range(5):
            begun.append(number)
            yield number

    seen = [(number, len(begun)) for number in ahead(work(), 3)]
    assert seen == [(0, 3), (1, 4), (2, 5), (3, 5), (4, 5)]
