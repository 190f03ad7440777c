"""Reference beats are read from the files people have them in, and from no others."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.references import MAX_BYTES, BeatFile, References, read_beats
from commands.states import States
from domain.errors import Invalid, NotFound
from tests.unit.commands.house import House
from tests.unit.domain import tracks as t

DURATION_MS = 2_000.0
TEXT = b"0.5\n1.0\n1.5\n"


def jams(*annotations: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"annotations": annotations, "file_metadata": {"title": "A"}, **more}).encode()


def beats(data: Any, namespace: str = "beat") -> dict[str, Any]:
    return {"namespace": namespace, "data": data, "annotation_metadata": {"curator": {"name": "Ada"}}}


OBSERVED = [{"time": s, "duration": 0.0, "value": 1, "confidence": float("nan")} for s in (0.5, 1.0, 1.5)]


def midi(*events: bytes, division: int = 480, form: int = 1, tracks: int = 1) -> bytes:
    body = b"".join(events) + b"\x00\xff\x2f\x00"
    head = b"".join(number.to_bytes(2, "big") for number in (form, tracks, division))
    return b"MThd\x00\x00\x00\x06" + head + b"MTrk" + len(body).to_bytes(4, "big") + body


TEMPO = b"\x00\xff\x51\x03\x07\xa1\x20"  # 500,000 µs a quarter note


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
    assert read_beats(text.encode(), DURATION_MS) == BeatFile("beat-times", (500.0, 1000.0, 1500.0))


def test_times_are_kept_to_a_microsecond():
    assert read_beats(b"0.1234567", DURATION_MS).beats_ms == (123.457,)
    assert read_beats(jams(beats([{"time": 0.1234567}])), DURATION_MS).beats_ms == (123.457,)


@pytest.mark.parametrize(
    "content",
    [
        jams(beats(OBSERVED)),
        b"\xef\xbb\xbf \n" + jams(beats(OBSERVED)),
        jams(beats({"time": [0.5, 1, 1.5], "duration": [0, 0, 0], "value": [1, 2, 3]})),
        jams(beats([{"time": 9.0}], "onset"), beats([]), beats(OBSERVED), beats([{"time": 7.0}])),
        jams(
            beats(
                [{"time": s, "value": {"position": 1, "num_beats": 4}} for s in (0.5, 1, 1.5)],
                "beat_position",
            )
        ),
    ],
)
def test_jams_has_the_beats_of_its_first_annotation_that_has_any(content: bytes):
    assert read_beats(content, DURATION_MS) == BeatFile("jams", (500.0, 1000.0, 1500.0))


def test_a_tempo_map_has_a_beat_each_quarter_note_of_the_song():
    assert read_beats(midi(TEMPO), DURATION_MS) == BeatFile("midi-tempo-map", (0.0, 500.0, 1000.0, 1500.0))
    slower = midi(TEMPO, b"\x87\x40\xff\x51\x03\x0f\x42\x40", form=0)  # after two beats, a second each
    assert read_beats(slower, 4_500.0).beats_ms == (0.0, 500.0, 1000.0, 2000.0, 3000.0, 4000.0)


@pytest.mark.parametrize(
    ("content", "rule", "text"),
    [
        (b"0.5\nbeat\n", "reference_line", "line 2"),
        (b"nan", "reference_line", "line 1"),
        (b"# Beats\n1,5\n2,1\n", "reference_line", "line 2: use a decimal point"),
        (b"0.5\n-0,5\tlabel\n", "reference_line", "line 2: use a decimal point"),
        (b"1e999", "reference_line", "line 1"),
        (b"1e307", "reference_line", "line 1"),
        (b"\xff\xfe0\x00", "reference_not_text", "JAMS"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt \x80", "reference_not_text", "MIDI"),
        (b"0" * (MAX_BYTES + 1), "reference_too_long", "at most"),
        (b"1\n" * 20_001, "beat_count", "at most 20000"),
        (b"{", "reference_jams", "can't be read"),
        (b"{}", "reference_jams", "annotations"),
        (b'{"annotations":' * 100_000, "reference_jams", "can't be read"),
        (jams(beats([{"time": 1.0}], "chord")), "reference_jams", "namespace beat"),
        (jams(beats([])), "reference_jams", "namespace beat"),
        (jams(beats([{"time": "soon"}])), "reference_jams", "time"),
        (jams(beats([{"time": None}])), "reference_jams", "time"),
        (jams(beats([{"time": float("nan")}])), "reference_jams", "without a time"),
        (jams(beats([{"time": 1e307}])), "reference_jams", "without a time"),
        (jams(beats([{"time": 10**400}])), "reference_jams", "can't be read"),
        (jams(beats(7)), "reference_jams", "can't be read"),
        (jams(beats([{"time": 1}] * 20_001)), "beat_count", "at most 20000"),
        (b"MThd", "reference_midi", "MThd"),
        (midi(TEMPO)[:-1], "reference_midi", "too early"),
        (midi(TEMPO, tracks=2), "reference_midi", "too early"),
        (midi(TEMPO, form=2), "reference_midi", "format 2"),
        (midi(TEMPO, division=0xE728), "reference_midi", "SMPTE"),
        (midi(), "reference_midi", "no tempo"),
        (midi(b"\x00\xff\x51\x03\x00\x00\x00"), "reference_midi", "no tempo"),
        (midi(b"\x00\xff\x51\x02\x07\xa1"), "reference_midi", "three bytes"),
        (midi(b"\x00\x40\x40"), "reference_midi", "middle of an event"),
        (midi(b"\xff" * 1_000_000), "reference_midi", "four bytes"),
        (midi(b"\x00\xff\x51\x03\x00\x00\x01"), "beat_count", "at most"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_said_to_be(content: bytes, rule: str, text: str):
    with pytest.raises(Invalid, match=text) as refused:
        read_beats(content, 1_200_000.0)
    assert (refused.value.rule, refused.value.field) == (rule, "file")


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda tail: midi(TEMPO)[:20] + tail)))
def test_any_bytes_are_read_or_refused(content: bytes):
    with suppress(Invalid):
        read_beats(content, DURATION_MS)


@pytest.mark.anyio
async def test_a_command_names_the_files_kind_and_hash_and_takes_the_length_from_the_track():
    house = House()
    await house.given_a_track()
    references = References(States(house.store, house.snapshots))
    content = midi(TEMPO)
    command = await references.command(t.TRACK, content)
    assert (command.kind, command.sha256) == ("midi-tempo-map", sha256(content).hexdigest())
    assert command.reference_ms == tuple(500.0 * n for n in range(120))
    with pytest.raises(NotFound):
        await references.command(UUID(int=1), TEXT)
