"""A staged file becomes a track, or leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from analysis.result import Analysed, AnalysisSettings
from commands.analysis.ports import (
    Probed,
    UndecodableAudio,
)
from commands.issue import Answer, Caller, Issue
from commands.upload import Staged, UploadFields, Uploads
from domain.errors import Busy, Forbidden, Invalid, KeyReused
from domain.log import Appended
from tests.unit.commands.house import ADA, House

pytestmark = pytest.mark.anyio

KEY = UUID(int=77)
SOUND = b"RIFF a song"


class Ears:
    """An Analyser that only probes, and may refuse or take its time."""

    def __init__(self, refusal: UndecodableAudio | None = None) -> None:
        self.refusal = refusal
        self.heard = 0
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def probe(self, path: Path) -> Probed:
        assert path.read_bytes()
        self.heard += 1
        await self.may_end.wait()
        if self.refusal is not None:
            raise self.refusal
        return Probed("audio/wav", 1234.5, 44100, 2)

    async def analyse(
        self, path: Path, settings: AnalysisSettings, on_progress: Callable[[str, float], None]
    ) -> Analysed:
        raise AssertionError("an upload is not analysed before its answer")


class Door:
    """An upload door on a house in memory and a folder of incoming files."""

    def __init__(self, incoming: Path) -> None:
        self.house = House()
        self.ears = Ears()
        self.incoming = incoming
        self.uploads = Uploads(
            self.house.pipeline,
            self.house.artefacts,
            self.ears,
            lambda head: "audio/wav" if head.startswith(b"RIFF") else None,
        )

    def staged(self, content: bytes = SOUND, filename: str = "song.wav") -> Staged:
        path = self.incoming / f"{len(list(self.incoming.iterdir()))}.part"
        path.write_bytes(content)
        return Staged(path, filename, sha256(content).hexdigest(), len(content), content[:4096])

    async def accept(
        self, staged: Staged | None = None, caller: Caller = ADA, key: UUID | None = None, **fields: Any
    ) -> Answer:
        asked = UploadFields(**{"title": "Song", **fields})
        return await self.uploads.accept(staged or self.staged(), asked, Issue(caller, key))

    def assert_nothing_is_left(self) -> None:
        assert list(self.incoming.iterdir()) == []
        assert self.house.artefacts.kept == {}
        assert self.house.store.log == []
        assert self.house.store.answers == {}


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


async def test_an_accepted_upload_is_a_track_whose_audio_is_stored(door: Door):
    answer = await door.accept(artist="Ada", tags=("x", "y"), preset="edm", priority=7, bpm_hint=128.0)
    uploaded, queued = door.house.store.log
    assert answer.status == 202
    assert answer.body == {"track_id": str(uploaded.stream), "job_id": queued.data["job_id"]}
    assert UUID(answer.body["track_id"]).version == 7
    assert uploaded.data == {
        "track_id": str(uploaded.stream),
        "title": "Song",
        "artist": "Ada",
        "tags": ["x", "y"],
        "preset": "edm",
        "filename": "song.wav",
        "media_type": "audio/wav",
        "audio_sha256": sha256(SOUND).hexdigest(),
        "audio_bytes": len(SOUND),
        "duration_ms": 1234.5,
    }
    assert (queued.data["priority"], queued.data["bpm_hint"]) == (7, 128.0)
    assert door.house.artefacts.kept == {sha256(SOUND).hexdigest(): SOUND}
    assert list(door.incoming.iterdir()) == []


async def test_what_is_not_given_has_its_default(door: Door):
    await door.accept(artist="")
    uploaded, queued = door.house.store.log
    assert (uploaded.data["artist"], uploaded.data["tags"], uploaded.data["preset"]) == (None, [], "auto")
    assert (queued.data["priority"], queued.data["engine"]) == (5, "beatledger")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/song.wav", "song.wav"),
        ("C:\\Music\\song.wav", "song.wav"),
        ("so\x00ng\n.wav", "song.wav"),
        ("", "audio"),
        ("..", "audio"),
        ("é" * 300 + ".wav", "é" * 251 + ".wav"),
    ],
)
async def test_a_file_name_is_kept_without_folders_and_control_characters(door: Door, sent: str, kept: str):
    await door.accept(door.staged(filename=sent))
    assert door.house.store.log[0].data["filename"] == kept


# Refused


async def test_an_empty_file_is_refused(door: Door):
    with pytest.raises(Invalid) as refused:
        await door.accept(door.staged(b""))
    assert (refused.value.rule, refused.value.field) == ("empty_file", "file")
    door.assert_nothing_is_left()


async def test_what_does_not_begin_like_audio_is_refused_unheard(door: Door):
    with pytest.raises(Invalid) as refused:
        await door.accept(door.staged(b"To whom it may concern", "song.wav"))
    assert refused.value.rule == "not_audio"
    assert door.ears.heard == 0
    door.assert_nothing_is_left()


@pytest.mark.parametrize(("code", "rule"), [("undecodable", "undecodable"), ("too_long", "audio_too_long")])
async def test_what_the_decoder_refuses_is_refused_in_its_words(door: Door, code: Any, rule: str):
    door.ears.refusal = UndecodableAudio(code, "cut off")
    with pytest.raises(Invalid, match="cut off") as refused:
        await door.accept()
    assert (refused.value.rule, refused.value.field) == (rule, "file")
    door.assert_nothing_is_left()


async def test_a_caller_who_may_not_upload_costs_no_decoding(door: Door):
    with pytest.raises(Forbidden):
        await door.accept(caller=Caller("user:eve", frozenset({"viewer"})))
    assert door.ears.heard == 0
    door.assert_nothing_is_left()


async def test_an_upload_given_up_in_mid_probe_leaves_nothing(door: Door):
    door.ears.may_end.clear()
    task = asyncio.create_task(door.accept())
    while not door.ears.heard:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    door.assert_nothing_is_left()


async def test_a_store_that_takes_no_audio_leaves_no_track(door: Door, monkeypatch: pytest.MonkeyPatch):
    async def full(path: Path, sha256: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(door.house.artefacts, "put_file", full)
    with pytest.raises(OSError, match="No space left"):
        await door.accept()
    door.assert_nothing_is_left()


@pytest.mark.parametrize(
    "fields",
    [
        {"title": ""},
        {"title": "x" * 256},
        {"artist": "x" * 256},
        {"tags": tuple("abcdefghijk")},
        {"preset": "polka"},
        {"priority": 11},
        {"bpm_hint": 5.0},
        {"engine": "magic"},
        {"title": "two\nlines"},
        {"colour": "red"},
    ],
)
def test_fields_are_validated_before_the_file_matters(fields: dict[str, Any]):
    with pytest.raises(ValidationError):
        UploadFields(**{"title": "Song", **fields})


# Repeated


async def test_the_same_key_and_body_twice_is_one_track(door: Door):
    first = await door.accept(key=KEY)
    again = await door.accept(key=KEY)
    assert again.repeated
    assert again.body == first.body
    assert len(door.house.store.log) == 2
    assert list(door.incoming.iterdir()) == []


async def test_the_same_key_and_body_twice_at_once_is_one_track(door: Door):
    first, again = await asyncio.gather(door.accept(key=KEY), door.accept(key=KEY))
    assert first.body == again.body
    assert len(door.house.store.log) == 2
    assert len(door.house.artefacts.kept) == 1


async def test_the_same_key_for_other_audio_is_refused_and_the_audio_not_stored(door: Door):
    await door.accept(key=KEY)
    with pytest.raises(KeyReused):
        await door.accept(door.staged(b"RIFF another song"), key=KEY)
    assert door.house.artefacts.kept == {sha256(SOUND).hexdigest(): SOUND}
    assert list(door.incoming.iterdir()) == []


async def test_the_same_audio_under_two_keys_is_two_tracks_on_one_file(door: Door):
    first, second = await door.accept(), await door.accept()
    assert first.body["track_id"] != second.body["track_id"]
    assert len(door.house.artefacts.kept) == 1


async def test_audio_stays_when_the_log_takes_no_append_for_another_track_may_have_it(
    door: Door, monkeypatch: pytest.MonkeyPatch
):
    await door.accept()

    async def busy(*_: Any) -> Appended:
        raise Busy("full")

    monkeypatch.setattr(door.house.store, "append", busy)
    with pytest.raises(Busy):
        await door.accept()
    assert door.house.artefacts.kept == {sha256(SOUND).hexdigest(): SOUND}
    assert list(door.incoming.iterdir()) == []
