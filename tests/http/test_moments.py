"""Moments and positions mean the same wherever they are written."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from api.wire.moments import EXAMPLE, moment_of, when_of

NINE: datetime = datetime(2025, 10, 28, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2025-10-28T09:30:00Z",
        "2025-10-28 09:30Z",
        "2025-10-28T15:15:00.000+05:45",
        "2025-10-27T23:30:00-10:00",
    ],
)
def test_the_time_zone_that_is_named_counts(text: str) -> None:
    assert moment_of(text) == moment_of(text, timezone(timedelta(hours=3))) == NINE
    assert when_of(text) == NINE
    assert moment_of(text).utcoffset() == timedelta(0)


def test_where_none_is_named_the_caller_says_which_is_meant_or_that_it_must_be() -> None:
    for text in ("2025-10-28T09:30:00", "2025-10-28 09:30"):
        assert moment_of(text, UTC) == when_of(text, UTC) == NINE
        with pytest.raises(ValueError, match=f"names no time zone.*{EXAMPLE}"):
            moment_of(text)
    assert moment_of("2025-10-28", UTC) == NINE.replace(hour=0, minute=0)


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "NaN", "1761643800", "1e9", "20251028", "2025-W44-2", "-5", "\u0665"),
        *("2025-13-01", "2025-02-30T00:00:00Z", "2025-10-28T25:00Z", "2025-10-28 or so"),
        *("2025-10-28T09:30:00+25:00", "2025-10-28T09:30:00 01:00", "9" * 5_000),
    ],
)
def test_what_is_no_moment_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"Write it like {EXAMPLE}.")):
        moment_of(text, UTC)


def test_a_bare_number_is_a_position_as_far_as_positions_go() -> None:
    assert (when_of("0"), when_of("20251028"), when_of("9" * 15)) == (0, 20251028, 10**15 - 1)
    for text in ("9" * 16, "9" * 5_000, "-1", "1.0", "\u0665", "+1", "abc"):
        with pytest.raises(ValueError, match="neither a position nor a moment"):
            when_of(text, UTC)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_the_ends_of_time_are_told(text: str) -> None:
    with pytest.raises(ValueError, match="beyond the years 1 to 9999"):
        when_of(text, UTC)


@pytest.mark.parametrize("text", ["2016-12-31T23:59:60Z", "2016-12-31 23:59:60.5+00:00"])
def test_a_leap_second_is_refused_with_how_to_write_it(text: str) -> None:
    for read in (moment_of, when_of):
        with pytest.raises(ValueError, match="A leap second is written :59, not :60"):
            read(text)
