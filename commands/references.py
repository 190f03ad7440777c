"""Reference beats as people have them: annotation files of one beat a line, in seconds."""

from __future__ import annotations

import math
import re

from domain.errors import Invalid
from domain.track.edits import MAX_BEATS

KIND = "beat-times"
"""The `kind` of a reference in this format, as the event and the map's metricsReference name it."""

MAX_BYTES = 2_000_000

_COLUMNS = re.compile(r"[\s,;]+")


def parse_beat_times(content: bytes) -> tuple[float, ...]:
    """Return the beats in ms, rounded to a microsecond, from a text of one time in seconds a line.

    What follows the time on its line is a label (MIREX, Sonic Visualiser, mir_eval write such files) and is
    ignored, as are empty lines and those that begin with `#`. Raises Invalid; whether the times suit the
    track is decided with it.
    """
    if len(content) > MAX_BYTES:
        raise Invalid("reference_too_long", f"a reference has at most {MAX_BYTES} bytes", "file")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise Invalid(
            "reference_not_text", "send a text file, one beat time in seconds a line", "file"
        ) from error
    told = ((number, line.strip()) for number, line in enumerate(lines, 1))
    beats = tuple(_ms(number, line) for number, line in told if line and not line.startswith("#"))
    if len(beats) > MAX_BEATS:
        raise Invalid(
            "beat_count", f"a reference has at most {MAX_BEATS} beats, this has {len(beats)}", "file"
        )
    return beats


def _ms(number: int, line: str) -> float:
    first = _COLUMNS.split(line)[0]
    try:
        seconds = float(first)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise Invalid(
            "reference_line", f"line {number} does not begin with a time in seconds: {first[:40]!r}", "file"
        )
    return round(seconds * 1000, 3)
