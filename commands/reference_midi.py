"""Beats from the tempo map of a MIDI file, for the length of the song."""

from __future__ import annotations

from analysis.midi import MalformedMidi, read_tempo_map
from domain.errors import Invalid


def parse_tempo_map(content: bytes, duration_ms: float) -> tuple[float, ...]:
    """Return the quarter notes of a song of this length, in ms, the first one at its start. Raises Invalid.

    A file without a tempo would play at 120 BPM by default, which is no statement about the song: it is
    refused.
    """
    try:
        tempo_map = read_tempo_map(content)
    except MalformedMidi as error:
        raise Invalid("reference_midi", str(error), "file") from error
    if not tempo_map.changes:
        raise Invalid("reference_midi", "the MIDI file sets no tempo, so it defines no beats", "file")
    return tempo_map.beats_ms(duration_ms)
