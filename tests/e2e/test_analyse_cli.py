"""`beatledger analyse`: the analysis alone, as people try it first."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.genesis_map import hash_of, read_map
from analysis.synth import synthesise
from app.cli.map_folder import MapFolder, distinct
from tests.integration.recordings import clicks, encoded, wav, with_data_size
from tests.servers.beatledger import COMMAND, Served, ready, upload
from tests.servers.processes import until

Run = subprocess.CompletedProcess[bytes]


def analyse(*words: str | Path, **options: Any) -> Run:
    """Run the command to its end, with standard output and error as pipes."""
    command = [*COMMAND, "analyse", *map(str, words)]
    return subprocess.run(command, capture_output=True, timeout=120, check=False, **options)


def maps_of(run: Run) -> list[dict[str, Any]]:
    """Return the maps on its standard output, one a line."""
    return [json.loads(line) for line in run.stdout.splitlines()]


def map_sha256(document: dict[str, Any]) -> str:
    return document["metadata"]["hashes"]["mapSha256"]


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.glob("*/children") for child in task.read_text().split()]


def is_gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, song: bytes) -> Path:
    """Two songs of known tempo: rock.wav at 100 BPM, edm.wav at 128."""
    folder = tmp_path_factory.mktemp("music")
    (folder / "rock.wav").write_bytes(song)
    (folder / "edm.wav").write_bytes(synthesise("edm", 128.0, 30.0, seed=5).wav())
    return folder


@pytest.fixture(scope="module")
def both(folder: Path) -> Run:
    """Both songs, one after the other."""
    return analyse(folder / "rock.wav", folder / "edm.wav", "--jobs", "1")


@pytest.fixture
def begun(tmp_path: Path, long_song: bytes) -> Callable[..., subprocess.Popen[bytes]]:
    """Start an analysis of three long songs, and come back when children are at work."""
    songs = [tmp_path / f"{number}.wav" for number in range(3)]
    for path in songs:
        path.write_bytes(long_song)

    def start(*words: str) -> subprocess.Popen[bytes]:
        command = [*COMMAND, "analyse", *map(str, songs), "--jobs", "2", *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until(lambda: len(children_of(process.pid)) == 2, what="its children")
        return process

    return start


def test_a_song_gives_its_whole_map_on_standard_output_and_a_line_on_standard_error(folder: Path):
    run = analyse(folder / "rock.wav")
    assert run.returncode == 0, run.stderr
    document = read_map(run.stdout)
    assert document.global_metrics.bpm == pytest.approx(100, abs=0.5)
    assert document.metadata.filename == "rock.wav"
    audio_sha256 = hashlib.sha256((folder / "rock.wav").read_bytes()).hexdigest()
    assert document.metadata.hashes.audio_sha256 == audio_sha256
    assert document.metadata.hashes.map_sha256 == hash_of(run.stdout)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document.metadata.timestamp)
    assert re.fullmatch(
        r".*rock\.wav: 100\.\d BPM, agreement F [01]\.\d\d, \d+ beats, 20\.0 s in \d+\.\d\d s "
        r"\(\d+ × real time\)\n",
        run.stderr.decode(),
    )


def test_a_running_server_gives_the_same_map(up: Served, folder: Path):
    """Equal but for whose it is: the track, the time it was made, the name of the file."""
    with up.client() as client:
        answer = upload(
            client, (folder / "edm.wav").read_bytes(), preset="edm", bpm_hint="127", title="Another"
        )
        track = ready(client, answer.json()["track_id"])
        served = client.get(f"/v1/tracks/{track['track_id']}/versions/1/genesis-map").json()
    (ours,) = maps_of(analyse(folder / "edm.wav", "--preset", "edm", "--bpm-hint", "127"))
    assert map_sha256(ours) == map_sha256(served) == track["current_version"]["map_sha256"]
    for document in (ours, served):
        document.pop("trackId")
        for own in ("timestamp", "filename"):
            document["metadata"].pop(own)
    assert ours == served


def test_runs_and_jobs_make_no_difference(folder: Path, both: Run):
    """Other processes, two at once, in the other order: the same hashes, each song the same track."""
    again = analyse(folder / "edm.wav", folder / "rock.wav", "--jobs", "2")
    first, second = maps_of(both), maps_of(again)
    assert [m["metadata"]["filename"] for m in first] == ["rock.wav", "edm.wav"]
    assert [m["metadata"]["filename"] for m in second] == ["edm.wav", "rock.wav"]
    assert [map_sha256(m) for m in first] == [map_sha256(m) for m in reversed(second)]
    assert [m["trackId"] for m in first] == [m["trackId"] for m in reversed(second)]
    assert first[0]["trackId"] != first[1]["trackId"]


def test_what_is_asked_for_is_in_the_map(folder: Path):
    run = analyse(folder / "rock.wav", "--preset", "rock", "--bpm-hint", "200", "--engine", "aubio")
    (document,) = maps_of(run)
    assert document["metadata"]["settings"] == {"preset": "rock", "bpmHint": 200.0, "engine": "aubio"}
    assert "aubio" in document["metadata"]["analysisEngine"]


FORMATS = [
    ("WAV", "PCM_U8", 1),
    ("WAV", "PCM_16", 1),
    ("WAV", "PCM_16", 2),
    ("WAV", "PCM_24", 2),
    ("WAV", "PCM_32", 2),
    ("WAV", "FLOAT", 2),
    ("WAV", "DOUBLE", 1),
    ("WAVEX", "PCM_16", 6),
    ("FLAC", "PCM_16", 2),
    ("FLAC", "PCM_24", 1),
    ("OGG", "VORBIS", 1),
    ("OGG", "VORBIS", 2),
    ("MP3", None, 1),
    ("MP3", None, 2),
]


def test_every_format_gives_the_beats_that_are_in_it(tmp_path: Path):
    """The name says nothing of the format: only the content counts."""
    sound = clicks(20, 120)
    truth = 500 + 500 * np.arange(39)
    files = [tmp_path / f"{kind}-{subtype}-{channels}" for kind, subtype, channels in FORMATS]
    for path, (kind, subtype, channels) in zip(files, FORMATS, strict=True):
        path.write_bytes(encoded(np.repeat(sound, channels, axis=1), 44_100, kind, subtype))
    run = analyse(*files, "--out", tmp_path / "maps")
    assert run.returncode == 0, run.stderr.decode()
    assert run.stdout == b""
    for path in files:
        document = read_map((tmp_path / "maps" / f"{path.name}.genesis-map.json").read_bytes())
        beats = np.array(document.layers.rhythm.beat_grid_ms)
        assert document.global_metrics.duration_ms == pytest.approx(20_000, abs=1), path.name
        assert document.global_metrics.bpm == pytest.approx(120, abs=0.5), path.name
        assert len(beats) >= 36, path.name
        assert max(np.min(np.abs(truth - beat)) for beat in beats) < 25, path.name


def test_files_that_fail_are_told_with_their_reason_and_the_others_are_written(tmp_path: Path, song: bytes):
    (tmp_path / "notes.txt").write_text("a list of songs\n" * 100)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "good.wav").write_bytes(song)
    names = ("notes.txt", "empty.wav", "folder", "pipe.wav", "gone.mp3", "good.wav")
    run = analyse(*(tmp_path / name for name in names), "--out", tmp_path / "maps")
    assert run.returncode == 1
    *lines, last = run.stderr.decode().splitlines()
    reasons = {Path(line.split(": ")[0]).name: line.split(": ", 1)[1] for line in lines[:5]}
    assert reasons["notes.txt"] == "failed: undecodable: no WAV, MP3, FLAC or OGG file by its content"
    assert reasons["empty.wav"].startswith("failed: undecodable: ")
    assert reasons["folder"] == "failed: a folder, name the files in it"
    assert reasons["pipe.wav"] == "failed: no regular file"
    assert reasons["gone.mp3"] == "failed: No such file or directory"
    assert "100.0 BPM" in lines[5]
    assert last == "5 of 6 files have no map"
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["good.genesis-map.json"]


def test_a_damaged_file_is_salvaged_and_said_to_be(tmp_path: Path):
    whole = wav(clicks(20, 120))
    path = tmp_path / "cut.wav"
    path.write_bytes(with_data_size(whole, 2 * len(whole)))
    run = analyse(path)
    assert run.returncode == 0
    assert "; cut off: 50% of what the header promises is missing\n" in run.stderr.decode()


def test_silence_gives_a_map_without_invented_figures(tmp_path: Path):
    path = tmp_path / "silence.wav"
    path.write_bytes(wav(np.zeros((44_100 * 5, 1), np.float32)))
    run = analyse(path)
    (document,) = maps_of(run)
    assert run.returncode == 0
    assert document["globalMetrics"]["bpm"] is None
    assert ": no tempo, no agreement, 0 beats, " in run.stderr.decode()


def test_recordings_of_one_name_get_a_file_each(tmp_path: Path, folder: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "rock.wav").write_bytes((folder / "edm.wav").read_bytes())
    run = analyse(folder / "rock.wav", tmp_path / "a" / "rock.wav", "--out", tmp_path / "new" / "maps")
    assert run.returncode == 0, run.stderr
    bpm = {p.name: read_map(p.read_bytes()).global_metrics.bpm for p in (tmp_path / "new/maps").iterdir()}
    assert bpm == {
        "rock.genesis-map.json": pytest.approx(100, abs=0.5),
        "rock-2.genesis-map.json": pytest.approx(128, abs=0.5),
    }
    assert f"a/rock.wav → {tmp_path}/new/maps/rock-2.genesis-map.json: 128.0 BPM" in run.stderr.decode()


def test_no_name_is_given_twice():
    names = ["song", "Song", "song-2", "song", "other"]
    assert distinct(names) == ["song", "Song-2", "song-2-2", "song-3", "other"]


def test_a_map_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    maps = MapFolder(tmp_path, [Path("song.wav")])
    maps.keep(0, b"one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        maps.keep(0, b"two")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"song.genesis-map.json": b"one"}


def test_a_name_that_would_steer_a_terminal_or_is_no_utf8_is_told_plainly(tmp_path: Path, song: bytes):
    name = b"\x1b[31m[red]\xff.wav"
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_bytes(song)
    run = subprocess.run([*COMMAND, "analyse", path], capture_output=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert b"\x1b" not in run.stderr
    assert b"[red]" in run.stderr
    assert maps_of(run)[0]["metadata"]["filename"] == "\x1b[31m[red]?.wav"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["song.wav", "--preset", "polka"],
        ["song.wav", "--engine", "guess"],
        ["song.wav", "--bpm-hint", "nan"],
        ["song.wav", "--bpm-hint", "401"],
        ["song.wav", "--jobs", "0"],
        ["song.wav", "--out", "/dev/null"],
    ],
    ids=" ".join,
)
def test_a_command_that_makes_no_sense_is_a_usage_error(words: list[str]):
    run = analyse(*words)
    assert (run.returncode, run.stdout) == (2, b"")
    assert b"Traceback" not in run.stderr


def test_a_reader_that_has_seen_enough_ends_it_quietly(begun: Callable[..., subprocess.Popen[bytes]]):
    with begun() as process:
        children = children_of(process.pid)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1
    assert all(map(is_gone, children))


def test_ctrl_c_ends_it_and_its_children_and_leaves_no_halves(
    begun: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
):
    with begun("--out", str(tmp_path / "maps")) as process:
        children = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (130, b"", b"")
    assert all(map(is_gone, children))
    assert list((tmp_path / "maps").iterdir()) == []


def test_ctrl_c_also_ends_it_when_nobody_reads_its_output(begun: Callable[..., subprocess.Popen[bytes]]):
    with begun() as process:
        children = children_of(process.pid)
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        size = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)

        def waiting() -> bool:
            return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0] == size

        until(waiting, 60, "a full pipe")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert all(map(is_gone, children))


def test_killed_outright_it_leaves_no_child_behind(begun: Callable[..., subprocess.Popen[bytes]]):
    with begun() as process:
        children = children_of(process.pid)
        process.kill()
    until(lambda: all(map(is_gone, children)), 60, "the end of its children")


def test_a_full_disk_behind_standard_output_is_told_in_a_sentence(folder: Path):
    with Path("/dev/full").open("wb") as full:
        command = [*COMMAND, "analyse", str(folder / "rock.wav")]
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (1, b"standard output: No space left on device\n")


def test_a_terminal_shows_bars_and_the_maps_stay_clean(folder: Path, both: Run, tmp_path: Path):
    """And takes them away again: what stays is the lines. In a pipe there are none."""
    ours, its = pty.openpty()
    command = [*COMMAND, "analyse", str(folder / "rock.wav"), str(folder / "edm.wav")]
    with (
        (tmp_path / "maps").open("wb") as maps,
        subprocess.Popen(command, stdout=maps, stderr=its, env={**os.environ, "TERM": "xterm"}) as process,
    ):
        os.close(its)
        shown = b""
        while part := _read(ours):
            shown += part
    os.close(ours)
    assert process.returncode == 0
    assert b"2 files" in shown
    assert b"edm.wav: 128.0 BPM" in shown
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h"), "the cursor is back"
    written = [json.loads(line) for line in (tmp_path / "maps").read_bytes().splitlines()]
    assert list(map(map_sha256, written)) == list(map(map_sha256, maps_of(both)))
    assert b"\x1b" not in both.stderr


def _read(terminal: int) -> bytes:
    """Read from a pty; its end is an error on Linux."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""
