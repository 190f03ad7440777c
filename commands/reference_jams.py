"""Beats from JAMS files (Humphrey et al. 2014, "JAMS: a JSON annotated music specification")."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from domain.errors import Invalid
from domain.known_types import known

_OF_BEATS = ("beat", "beat_position")
"""Namespaces whose observations are beats; the second one's values count beats in the bar (GuitarSet)."""


class _Observation(msgspec.Struct):
    time: float


class _Columns(msgspec.Struct):
    """The dense form of JAMS annotations; some tools write all annotations so."""

    time: list[float]


class _Annotation(msgspec.Struct):
    namespace: str
    data: Any = None


class _Jams(msgspec.Struct):
    annotations: list[_Annotation]


known(_Jams, _Columns, _Observation)


def parse_jams(content: bytes) -> tuple[float, ...]:
    """Return the beats of the first annotation of beats that has any, in ms. Raises Invalid.

    Several such annotations come from several people, who may disagree: the first one counts. Other data
    beside the times (positions in the bar, confidences) is ignored: a reference scores beats alone.
    """
    try:
        # msgspec's own reader refuses NaN, which JAMS writes for a missing confidence.
        jams = msgspec.convert(json.loads(content), _Jams)
        found = (
            _times(annotation.data) for annotation in jams.annotations if annotation.namespace in _OF_BEATS
        )
        seconds = next((times for times in found if times), None)
    except (ValueError, RecursionError, OverflowError) as error:
        raise _refused(f"the JAMS file can't be read: {error}") from error
    if seconds is None:
        raise _refused("the JAMS file has no annotation of the namespace beat or beat_position")
    if not all(math.isfinite(second * 1000) for second in seconds):
        raise _refused("the JAMS file has a beat without a time")
    return tuple(round(second * 1000, 3) for second in seconds)


def _times(data: Any) -> list[float]:
    match msgspec.convert(data, list[_Observation] | _Columns):
        case _Columns(time):
            return time
        case observations:
            return [observation.time for observation in observations]


def _refused(reason: str) -> Invalid:
    return Invalid("reference_jams", reason, "file")
