"""A MIDI file's tempo map gives its quarter notes, and what is no such file is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.midi import MalformedMidi, TempoChange, read_tempo_map


def track(*events: bytes) -> bytes:
    body = b"".join(events) + b"\x00\xff\x2f\x00"
    return b"MTrk" + len(body).to_bytes(4, "big") + body


def midi(*tracks: bytes, division: int = 480) -> bytes:
    return (
        b"MThd\x00\x00\x00\x06\x00\x01"
        + len(tracks).to_bytes(2, "big")
        + division.to_bytes(2, "big")
        + b"".join(tracks)
    )


def tempo(delta: bytes, bpm: float) -> bytes:
    return delta + b"\xff\x51\x03" + round(60_000_000 / bpm).to_bytes(3, "big")


NOTES = b"\x00\x90\x3c\x40\x83\x60\x3c\x00\x00\xc0\x05\x00\xf0\x02\x01\xf7"  # running status, program, sysex


def test_a_steady_file_has_a_beat_each_quarter_note() -> None:
    read = read_tempo_map(midi(track(tempo(b"\x00", 150)), track(NOTES)))
    assert read.changes == (TempoChange(0, 400_000),)
    assert read.beats_ms(2000) == (0.0, 400.0, 800.0, 1200.0, 1600.0)


def test_a_file_without_tempo_plays_at_120() -> None:
    assert read_tempo_map(midi(track(NOTES))).beats_ms(1500) == (0.0, 500.0, 1000.0)


def test_a_change_inside_a_beat_counts_from_its_tick() -> None:
    changes = track(tempo(b"\x00", 120), tempo(b"\x85\x50", 60))  # after 720 ticks, one and a half beats
    assert read_tempo_map(midi(changes)).beats_ms(3000) == (0.0, 500.0, 1250.0, 2250.0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF0000WAVE",
        midi(track(), division=0),
        midi(track(), division=0xE728),
        midi(track(b"\x00\xff"))[:-4],
    ],
)
def test_what_has_no_musical_time_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedMidi):
        read_tempo_map(content).beats_ms(1000)


@given(st.binary(max_size=300))
def test_rubbish_is_read_or_refused_but_never_crashes(rubbish: bytes) -> None:
    with suppress(MalformedMidi):
        beats = read_tempo_map(midi(b"MTrk\x00\x00\x10\x00" + rubbish)).beats_ms(10_000)
        assert beats[0] == 0.0
