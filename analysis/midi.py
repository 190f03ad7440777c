"""Beats from the tempo map of a Standard MIDI File: how annotated songs often come.

Only what the beats need is read: the division and the tempo changes (meta event 0x51); see the MIDI
Association's RP-001, "Standard MIDI Files 1.0".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

_DEFAULT_TEMPO_US = 500_000  # 120 BPM, where a file names none
_MOST_BEATS = 200_000


class MalformedMidi(ValueError):
    """The bytes are no MIDI file with musical time."""


@dataclass(frozen=True, slots=True)
class TempoChange:
    """From this tick on a quarter note lasts so many microseconds."""

    tick: int
    quarter_us: int


@dataclass(frozen=True, slots=True)
class TempoMap:
    """Ticks a quarter note, and the tempo changes in order."""

    ticks_per_quarter: int
    changes: tuple[TempoChange, ...]

    def beats_ms(self, until_ms: float) -> tuple[float, ...]:
        """Return the time of every quarter note before `until_ms`."""
        beats: list[float] = []
        at_ms, tick, quarter_us = 0.0, 0, _DEFAULT_TEMPO_US
        pending = deque(self.changes)
        while at_ms < until_ms and len(beats) < _MOST_BEATS:
            beats.append(round(at_ms, 3))
            following = len(beats) * self.ticks_per_quarter
            while pending and pending[0].tick < following:
                change = pending.popleft()
                at_ms += (change.tick - tick) / self.ticks_per_quarter * quarter_us / 1000.0
                tick, quarter_us = change.tick, change.quarter_us
            at_ms += (following - tick) / self.ticks_per_quarter * quarter_us / 1000.0
            tick = following
        return tuple(beats)


def read_tempo_map(content: bytes) -> TempoMap:
    """Read the tempo map of all tracks. Raises MalformedMidi."""
    try:
        return _read(content)
    except IndexError as error:
        raise MalformedMidi("the MIDI file ends too early") from error


def _read(content: bytes) -> TempoMap:
    if content[:4] != b"MThd" or len(content) < 14:
        raise MalformedMidi("not a MIDI file: it does not begin with MThd")
    division = int.from_bytes(content[12:14], "big")
    if division == 0 or division & 0x8000:
        raise MalformedMidi("the file counts in SMPTE frames, not in quarter notes: it has no beats")
    if int.from_bytes(content[8:10], "big") > 1:
        raise MalformedMidi("the file holds songs of their own, not the tracks of one (format 2)")
    changes: list[TempoChange] = []
    for track in _tracks(content):
        changes += _track_tempi(track)
    by_tick = {change.tick: change for change in changes if change.quarter_us > 0}
    return TempoMap(division, tuple(by_tick[tick] for tick in sorted(by_tick)))


def _tracks(content: bytes) -> Iterator[bytes]:
    """Yield the tracks the header announces, over chunks of other kinds; what follows the last is padding."""
    at = 8 + int.from_bytes(content[4:8], "big")
    announced = int.from_bytes(content[10:12], "big")
    while announced:
        end = at + 8 + int.from_bytes(content[at + 4 : at + 8], "big")
        if max(end, at + 8) > len(content):
            raise MalformedMidi("the MIDI file ends too early")
        if content[at : at + 4] == b"MTrk":
            announced -= 1
            yield content[at + 8 : end]
        at = end


def _track_tempi(track: bytes) -> Iterator[TempoChange]:
    at = tick = status = 0
    while at < len(track):
        delta, at = _variable(track, at)
        tick += delta
        if track[at] & 0x80:
            status, at = track[at], at + 1
        if status in (0xFF, 0xF0, 0xF7):
            kind = track[at] if status == 0xFF else -1
            length, at = _variable(track, at + (status == 0xFF))
            if kind == 0x51:
                if length != 3:
                    raise MalformedMidi(f"a tempo has three bytes, this one has {length}")
                yield TempoChange(tick, int.from_bytes(track[at : at + length], "big"))
            at += length
        elif status == 0:
            raise MalformedMidi("a track begins in the middle of an event")
        else:
            at += 1 if status >> 4 in (0xC, 0xD) else 2


def _variable(track: bytes, at: int) -> tuple[int, int]:
    """Read a variable-length quantity, four bytes at most; return it and the place after it."""
    value = 0
    for place in range(at, at + 4):
        value = value << 7 | track[place] & 0x7F
        if not track[place] & 0x80:
            return value, place + 1
    raise MalformedMidi("a length or a time has more than four bytes")
