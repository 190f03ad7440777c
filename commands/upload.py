"""Accepting an upload: a staged file becomes a track, or leaves nothing behind.

Whatever can be refused is refused before the audio is stored: its bytes are looked at and decoded first, and
the file moves into the artefact store only after the pipeline has found the key unused.
After that only the append can fail (the log is full, away, or the key was used a moment ago). Then the audio
stays: another upload may rely on the same content by now, and an append of unknown outcome may have been
written. What no event names stays as an orphan: there is no collector yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pydantic import BaseModel, ConfigDict
from uuid_utils.compat import uuid7

from commands.analysis.ports import Analyser, Probed, UndecodableAudio
from commands.issue import Answer, Issue
from commands.pipeline import Pipeline, authorise
from commands.ports import Artefacts
from domain.command import Line, OptionalLine
from domain.errors import Invalid
from domain.track.commands import BpmHint, Priority, Tags, UploadTrack
from domain.track.events import Engine, Preset
from domain.track.state import Track

_CODES = {"undecodable": "undecodable", "too_long": "audio_too_long"}


class UploadFields(BaseModel):
    """The fields of an upload beside the file; the text under each is its description for clients."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    title: Line
    """Title of the track."""
    artist: OptionalLine | None = None
    """Artist; empty for none."""
    tags: Tags = ()
    """Tags, at most 10; repeat the field for each."""
    preset: Preset = "auto"
    """Kind of music; `auto` lets the analysis decide."""
    priority: Priority = 5
    """Priority of the analysis; a higher one runs earlier."""
    bpm_hint: BpmHint | None = None
    """Tempo, in beats per minute, near which the analysis looks."""
    engine: Engine = "beatledger"
    """Beat tracker to use."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A file as it was received: where it lies, what its sender called it, and what was found on the way.

    `head` are its first HEAD_BYTES.
    """

    path: Path
    filename: str
    sha256: str
    bytes: int
    head: bytes


class Uploads:
    """Turns staged files into tracks. `sniff` names the audio type that first bytes claim, None for none."""

    def __init__(
        self,
        pipeline: Pipeline,
        artefacts: Artefacts,
        analyser: Analyser,
        sniff: Callable[[bytes], str | None],
    ) -> None:
        self._pipeline = pipeline
        self._artefacts = artefacts
        self._analyser = analyser
        self._sniff = sniff

    async def accept(self, staged: Staged, fields: UploadFields, issue: Issue) -> Answer:
        """Prove the file to be audio, store it and record the track; the staged file is gone afterwards.

        Raises Invalid with the rule empty_file, not_audio, undecodable or audio_too_long, and what
        Pipeline.execute raises.
        """
        try:
            authorise(UploadTrack, issue.caller)
            self._check_content(staged)
            command = _command(staged, fields, await self._probe(staged))
            return await self._pipeline.execute(command, issue, prepare=self._storing(staged))
        finally:
            # Nothing is awaited here: a cancelled upload must not leave its file behind.
            staged.path.unlink(missing_ok=True)

    def _check_content(self, staged: Staged) -> None:
        if staged.bytes == 0:
            raise Invalid("empty_file", "the file is empty: send the recording", "file")
        if self._sniff(staged.head) is None:
            raise Invalid(
                "not_audio", "the file is not WAV, MP3, FLAC or Ogg audio, whatever its name", "file"
            )

    async def _probe(self, staged: Staged) -> Probed:
        try:
            return await self._analyser.probe(staged.path)
        except UndecodableAudio as error:
            raise Invalid(_CODES[error.code], error.detail, "file") from error

    def _storing(self, staged: Staged) -> Any:
        async def prepare(state: Track, command: UploadTrack) -> UploadTrack:
            if staged.path.exists():  # it has moved already when a race was lost
                await self._artefacts.put_file(staged.path, staged.sha256)
            return command

        return prepare


def _command(staged: Staged, fields: UploadFields, probed: Probed) -> UploadTrack:
    return UploadTrack(
        **fields.model_dump(exclude={"artist"}),
        artist=fields.artist or None,
        track_id=uuid7(),
        filename=_plain_name(staged.filename),
        media_type=probed.media_type,
        audio_sha256=staged.sha256,
        audio_bytes=staged.bytes,
        duration_ms=probed.duration_ms,
    )


def _plain_name(filename: str) -> str:
    """Return the last part of what the sender calls its file, printable, at most 255 characters."""
    name = PureWindowsPath(PurePosixPath(filename).name).name
    printable = "".join(c for c in name if c.isprintable()).strip()
    return printable[-255:] if printable.strip(".") else "audio"
