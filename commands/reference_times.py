"""Beat times from a text file with one beat a line, in seconds."""

from __future__ import annotations

import math
import re
from itertools import islice

from domain.errors import Invalid
from domain.track.edits import MAX_BEATS

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d")
_COLUMNS = re.compile(r"[\s,;]+")


def parse_beat_times(content: bytes) -> tuple[float, ...]:
    """Return the beats in ms, rounded to a microsecond, from a text of one time in seconds a line.

    The rest of a line after the time is a label (MIREX, Sonic Visualiser, mir_eval write such files) and is
    ignored, as are empty lines and those that begin with `#`. Parsing stops at one beat more than allowed.
    Raises Invalid.
    """
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise Invalid(
            "reference_not_text",
            "send a text of one beat time in seconds a line, a JAMS file or a MIDI file",
            "file",
        ) from error
    told = ((number, line.strip()) for number, line in enumerate(lines, 1))
    beats = (_ms(number, line) for number, line in told if line and not line.startswith("#"))
    # One more than allowed suffices to refuse the file; a million would take seconds.
    return tuple(islice(beats, MAX_BEATS + 1))


def _ms(number: int, line: str) -> float:
    # With the comma as separator, "1,5" would silently become a beat at 1 s.
    if _DECIMAL_COMMA.match(line):
        raise Invalid(
            "reference_line", f"line {number}: use a decimal point, as in 1.5: {line[:40]!r}", "file"
        )
    first = _COLUMNS.split(line)[0]
    try:
        seconds = float(first)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds * 1000):
        raise Invalid(
            "reference_line", f"line {number} does not begin with a time in seconds: {first[:40]!r}", "file"
        )
    return round(seconds * 1000, 3)
