"""Reference beats are read from the text files people have them in."""

import pytest

from commands.references import MAX_BYTES, parse_beat_times
from domain.errors import Invalid


@pytest.mark.parametrize(
    "text",
    [
        "0.5\n1.0\n1.5\n",
        "0.5\t1\n1.0\t2\n1.5\t3",
        "# by ear\n\n0.5 one\r\n  1.0, two\r\n1.5;x\r\n",
        "\ufeff0.5\n1e0\n1.5",
    ],
)
def test_a_time_in_seconds_a_line_whatever_follows_it(text: str):
    assert parse_beat_times(text.encode()) == (500.0, 1000.0, 1500.0)


def test_times_are_kept_to_a_microsecond():
    assert parse_beat_times(b"0.1234567") == (123.457,)


@pytest.mark.parametrize(
    ("content", "rule", "text"),
    [
        (b"0.5\nbeat\n", "reference_line", "line 2"),
        (b"nan", "reference_line", "line 1"),
        (b"1e999", "reference_line", "line 1"),
        (b"\xff\xfe0\x00", "reference_not_text", "text file"),
        (b"0" * (MAX_BYTES + 1), "reference_too_long", "at most"),
        (b"1\n" * 20_001, "beat_count", "20001"),
    ],
)
def test_what_cannot_be_read_is_said_to_be(content: bytes, rule: str, text: str):
    with pytest.raises(Invalid, match=text) as refused:
        parse_beat_times(content)
    assert (refused.value.rule, refused.value.field) == (rule, "file")
