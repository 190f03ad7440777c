"""Reference beats as text, JAMS or a MIDI tempo map; the file's content decides the kind."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from uuid import UUID

from commands.reference_jams import parse_jams
from commands.reference_midi import parse_tempo_map
from commands.reference_times import parse_beat_times
from commands.states import States
from domain.errors import Invalid, NotFound
from domain.track.commands import UploadReference
from domain.track.decider import TRACK
from domain.track.edits import MAX_BEATS
from domain.track.state import Absent

MAX_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class BeatFile:
    """The content of a beat file: its kind, as in the map's metricsReference, and its beats in ms."""

    kind: str
    beats_ms: tuple[float, ...]


def read_beats(content: bytes, duration_ms: float) -> BeatFile:
    """Return the beats of a file for a song of this length, rounded to a microsecond. Raises Invalid.

    Only a tempo map needs the length: it gives the tempo, not the number of beats.
    """
    if len(content) > MAX_BYTES:
        raise Invalid("reference_too_long", f"a reference has at most {MAX_BYTES} bytes", "file")
    match content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]:
        case b"{":
            found = BeatFile("jams", parse_jams(content))
        case b"M" if content.startswith(b"MThd"):
            found = BeatFile("midi-tempo-map", parse_tempo_map(content, duration_ms))
        case _:
            found = BeatFile("beat-times", parse_beat_times(content))
    if len(found.beats_ms) > MAX_BEATS:
        raise Invalid("beat_count", f"a reference has at most {MAX_BEATS} beats", "file")
    return found


class References:
    """Makes commands of reference files, off the event loop: parsing may take a second."""

    def __init__(self, states: States) -> None:
        self._states = states

    async def command(self, track_id: UUID, content: bytes) -> UploadReference:
        """Return the command that gives a file's beats to a track; the decider checks that they suit it.

        Raises NotFound, Invalid, and the errors of reading the track.
        """
        state = (await self._states.load(TRACK.at(track_id, str(track_id)))).state
        if isinstance(state, Absent):
            raise NotFound(f"there is no track {track_id}")
        beats = await asyncio.to_thread(read_beats, content, state.profile.duration_ms)
        return UploadReference(
            track_id=track_id,
            kind=beats.kind,
            sha256=hashlib.sha256(content).hexdigest(),
            reference_ms=beats.beats_ms,
        )
