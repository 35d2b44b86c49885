"""One reader of JSON that somebody else wrote."""

import pytest

from infrastructure.json_text import read_json


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[" * 100_000, "is nested too deeply"),
        (b'{"a":' * 100_000, "is nested too deeply"),
        (b'"\xff"', "is not UTF-8 text"),
        ('"ü"'.encode("utf-16"), "is not UTF-8 text"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "names the key 'c' twice"),
        (b"{", "is no JSON: Expecting property name"),
        (b"", "is no JSON: Expecting value"),
    ],
)
def test_text_that_has_no_one_meaning_is_refused_with_the_reason(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_json(text)


def test_a_value_is_read_as_it_is_written() -> None:
    assert read_json('{"a": [1, "ü", null]}'.encode()) == {"a": [1, "ü", None]}
