"""Errors of shape name the part of the request, in words that hold for any client's language."""

from __future__ import annotations

import re
from typing import Any, get_args

import pydantic
import pytest
from pydantic_core import core_schema

from api.rest.bodies import AnalysisRequest, BeatOverride, TrackPatch
from api.validation import field_errors, field_path
from commands.upload import UploadFields

PYTHON = re.compile(
    r"\b(tuple|list|dict\w*|instance|python|none|attribut\w*|bytes|validation|callable|iterable|mapping|input|"
    r"float|str|int|class|arguments?)\b",
    re.IGNORECASE,
)
"""Words of Python or pydantic that mean nothing to a client."""

OVERRIDE = pydantic.TypeAdapter[Any](BeatOverride)

EDITS = "give beats_ms, or an edit: double, halve, shift_half_beat, offset, stretch"

WRONG: list[tuple[Any, Any, str, str]] = [
    (TrackPatch, [], "", "must be an object"),
    (TrackPatch, {"colour": 1}, "colour", "is not a known field"),
    (TrackPatch, {"title": ""}, "title", "must not be empty"),
    (TrackPatch, {"title": "x" * 256}, "title", "must have at most 255 characters"),
    (TrackPatch, {"title": 5}, "title", "must be a text"),
    (TrackPatch, {"tags": "a"}, "tags", "must be an array"),
    (TrackPatch, {"tags": ["a"] * 11}, "tags", "must have at most 10 items; it has 11"),
    (TrackPatch, {"tags": ["a", "\0"]}, "tags[1]", "must not contain control or invisible characters"),
    (AnalysisRequest, {"preset": "polka"}, "preset", "must be 'edm', 'rock', 'classical', 'jazz' or 'auto'"),
    (AnalysisRequest, {"priority": 11}, "priority", "must be at most 10"),
    (AnalysisRequest, {"priority": 1.5}, "priority", "must be a whole number"),
    (AnalysisRequest, {"priority": "x"}, "priority", "must be a whole number"),
    (AnalysisRequest, {"bpm_hint": float("nan")}, "bpm_hint", "must be a finite number"),
    (AnalysisRequest, {"bpm_hint": 19}, "bpm_hint", "must be at least 20"),
    (AnalysisRequest, {"bpm_hint": []}, "bpm_hint", "must be a number"),
    (UploadFields, {}, "title", "is missing"),
    (OVERRIDE, {"beats_ms": [1.0] * 20_001}, "beats_ms", "must have at most 20000 items; it has 20001"),
    (OVERRIDE, {"beats_ms": ["1"]}, "beats_ms[0]", "must be a number"),
    (OVERRIDE, {"edit": "stretch", "anchors": [[0, 1.0]]}, "anchors[1]", "is missing"),
    (
        OVERRIDE,
        {"edit": "spin"},
        "",
        "give beats_ms, or an edit: double, halve, shift_half_beat, offset, stretch",
    ),
]


@pytest.mark.parametrize(("model", "sent", "path", "message"), WRONG)
def test_a_wrong_part_is_named_in_plain_words(model: Any, sent: Any, path: str, message: str) -> None:
    validate = model.validate_python if model is OVERRIDE else model.model_validate
    with pytest.raises(pydantic.ValidationError) as refused:
        validate(sent)
    first = field_errors(refused.value.errors())[0]
    assert (first.path, first.message) == (path, message)
    assert not PYTHON.search(first.message)


@pytest.mark.parametrize("kind", get_args(core_schema.ErrorType))
def test_no_kind_of_error_speaks_of_python(kind: str) -> None:
    """Also those that no body here can raise today."""
    names = [
        "min_length",
        "max_length",
        "actual_length",
        "pattern",
        "expected",
        "gt",
        "ge",
        "lt",
        "le",
        "error",
    ]
    error = {"type": kind, "loc": ("body", "x"), "msg": "a Python text", "ctx": dict.fromkeys(names, "3")}
    (told,) = field_errors([error])
    assert not PYTHON.search(told.message)
    assert told.message
    assert not re.search("list|tuple|dict|model|set_type", told.code or "")


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (("body", "beats_ms", 3), "beats_ms[3]"),
        (("body",), "body"),
        (("query", "limit"), "query.limit"),
        (("path", "track_id"), "track_id"),
        (("body", "stretch", "anchors", 0, 1), "stretch.anchors[0][1]"),
        (("body", "edit:stretch", "anchors", 0, 1), "anchors[0][1]"),
        (("body", "edit:mine"), "edit:mine"),
    ],
)
def test_a_location_reads_as_a_path(location: tuple[str | int, ...], path: str) -> None:
    assert field_path(location) == path
