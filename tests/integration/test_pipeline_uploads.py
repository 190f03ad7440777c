"""Uploads from the staged file to the event: a real decoder, a real folder, a real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from adapters.artefacts.folder import FolderArtefacts
from adapters.audio.analyser import ChildAnalyser
from adapters.audio.sniff import sniff
from adapters.postgres.access import Access
from adapters.postgres.snapshots import PostgresSnapshots
from commands.issue import Answer, Caller, Issue
from commands.pipeline import Pipeline
from commands.ports import HEAD_BYTES
from commands.states import States
from commands.tracks import track_handlers
from commands.upload import Staged, UploadFields, Uploads
from commands.versions import Versions
from domain.errors import Invalid, KeyReused
from tests.integration.recordings import clicks, encoded, tone, wav
from tests.servers.ledgers import open_ledger

pytestmark = pytest.mark.anyio

ADA = Caller("user:ada", frozenset({"producer"}))


class Reception:
    """What an API process has to accept uploads with."""

    def __init__(self, uploads: Uploads, folder: Path, database: Access) -> None:
        self._uploads = uploads
        self._folder = folder
        self._database = database

    async def receive(self, content: bytes, name: str = "song.wav", key: UUID | None = None) -> Answer:
        path = self._folder / "incoming" / uuid4().hex
        path.write_bytes(content)
        staged = Staged(path, name, sha256(content).hexdigest(), len(content), content[:HEAD_BYTES])
        return await self._uploads.accept(staged, UploadFields(title="Song"), Issue(ADA, key))

    def files(self) -> list[str]:
        """The names of all files there are, of every folder."""
        return sorted(path.name for path in self._folder.rglob("*") if path.is_file())

    def rows(self) -> dict[str, int]:
        """How many rows each table has that has any, but for what migrations put there."""
        with psycopg.connect(self._database.superuser) as connection:
            tables = connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' "
                "AND table_type = 'BASE TABLE' AND table_name NOT IN ('schema_migrations', 'kafka_relay')"
            ).fetchall()
            counts = {
                name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone() for (name,) in tables
            }
        return {name: count[0] for name, count in counts.items() if count and count[0]}


@pytest.fixture
async def reception(database: Access, tmp_path: Path) -> AsyncGenerator[Reception]:
    (tmp_path / "incoming").mkdir()
    artefacts = FolderArtefacts(tmp_path / "artefacts")
    async with open_ledger(database.serving) as ledger, ChildAnalyser(workers=1, cap_s=60.0) as analyser:
        states = States(ledger.store, PostgresSnapshots(ledger.pool))
        handlers = track_handlers(Versions(artefacts))
        pipeline = Pipeline(ledger.store, states, handlers, ledger.log.shard_of)
        yield Reception(Uploads(pipeline, artefacts, analyser, sniff), tmp_path, database)


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [("WAV", "audio/wav"), ("MP3", "audio/mpeg"), ("FLAC", "audio/flac"), ("OGG", "audio/ogg")],
)
async def test_a_recording_becomes_a_track_and_one_file(
    reception: Reception, database: Access, kind: str, media_type: str
):
    content = encoded(clicks(3.0, 120.0), 44_100, kind)
    answer = await reception.receive(content, "whatever.bin")
    assert answer.status == 202
    assert reception.files() == [sha256(content).hexdigest()]
    with psycopg.connect(database.superuser) as connection:
        (data,) = connection.execute("SELECT data FROM ledger WHERE revision = 1").fetchone() or (None,)
    assert data["media_type"] == media_type
    assert data["duration_ms"] == pytest.approx(3000, abs=60)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        pytest.param(b"", "empty_file", id="empty"),
        pytest.param(b"Dear producer, " * 1000, "not_audio", id="text"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(5000), "not_audio", id="picture"),
        pytest.param(wav(tone(5.0))[:100_000], "undecodable", id="cut off"),
        pytest.param(b"RIFF\x00\x10\x00\x00WAVE" + b"\x5a" * 5000, "undecodable", id="a header alone"),
        pytest.param(wav(tone(61.0, rate=8000), 8000), "audio_too_long", id="too long"),
    ],
)
async def test_what_is_refused_leaves_no_file_no_event_and_no_row(
    reception: Reception, content: bytes, rule: str
):
    with pytest.raises(Invalid) as refused:
        await reception.receive(content, key=uuid4())
    assert refused.value.rule == rule
    assert reception.files() == []
    assert reception.rows() == {}


async def test_the_same_upload_twice_and_twice_at_once_is_one_track(reception: Reception):
    content, key = wav(clicks(2.0, 120.0)), uuid4()
    one, two = await asyncio.gather(reception.receive(content, key=key), reception.receive(content, key=key))
    three = await reception.receive(content, key=key)
    assert one.body == two.body == three.body
    assert reception.rows() == {"stored_events": 2, "command_keys": 1}
    assert reception.files() == [sha256(content).hexdigest()]


async def test_the_same_key_for_another_recording_leaves_nothing_of_it(reception: Reception):
    content, key = wav(clicks(2.0, 120.0)), uuid4()
    await reception.receive(content, key=key)
    with pytest.raises(KeyReused):
        await reception.receive(wav(clicks(2.0, 90.0)), key=key)
    assert reception.files() == [sha256(content).hexdigest()]
    assert reception.rows() == {"stored_events": 2, "command_keys": 1}
