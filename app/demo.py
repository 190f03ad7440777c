"""`beatledger demo`: the main use case in a minute, on songs whose beats are known.

It uses HTTP, as a client does; the exit code is 0 only if every result is as expected.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from analysis import metrics
from analysis.synth import Song, synthesise

F_MEASURE_AIM = 0.98
CEMGIL_AIM = 0.95
ANALYSIS_DEADLINE_S = 80.0
FOLLOW_S = 20.0
"""The longest wait until the read side shows a write."""

Style = Literal["edm", "rock", "jazz"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A song of the demo: its style and tempo."""

    title: str
    style: Style
    bpm: float


PIECES = (
    Piece("Warehouse at dawn", "edm", 128.0),
    Piece("Gravel road", "rock", 96.0),
    Piece("Blue hour", "jazz", 140.0),
)


class DemoFailed(Exception):
    """A result of the demo is not as expected."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """An uploaded piece: its known beats, and its ids on the server."""

    piece: Piece
    song: Song
    track_id: str
    job_id: str


def run(client: httpx2.Client, console: Console, seconds: float = 60.0) -> None:
    """Run the demo through `client`, which needs the roles producer and auditor. Raises DemoFailed."""
    uploads = [_upload(client, piece, seconds, console) for piece in PIECES]
    _watch(client, uploads, console)
    _score(client, uploads, console)
    _correct(client, uploads[-1], console)


def _upload(client: httpx2.Client, piece: Piece, seconds: float, console: Console) -> Uploaded:
    song = synthesise(piece.style, piece.bpm, seconds, seed=7)
    answer = _ok(
        client.post(
            "/v1/tracks",
            data={"title": piece.title, "artist": "The Synthesisers", "preset": piece.style, "tags": "demo"},
            files={"file": (f"{piece.title}.wav", song.wav(), "audio/wav")},
            headers={"Idempotency-Key": f"demo-{piece.title}-{time.time_ns()}"},
        )
    )
    console.print(f"uploaded [bold]{piece.title}[/] ({piece.style}, {piece.bpm:g} BPM): {answer['track_id']}")
    return Uploaded(piece, song, answer["track_id"], answer["job_id"])


def _watch(client: httpx2.Client, uploads: list[Uploaded], console: Console) -> None:
    deadline = time.monotonic() + ANALYSIS_DEADLINE_S
    columns = (TextColumn("{task.description:<20}"), BarColumn(), TextColumn("{task.fields[stage]}"))
    with Progress(*columns, console=console) as progress:
        bars = {u.job_id: progress.add_task(u.piece.title, total=100, stage="queued") for u in uploads}
        waiting = set(bars)
        while waiting:
            if time.monotonic() > deadline:
                raise DemoFailed(f"not analysed after {ANALYSIS_DEADLINE_S:.0f} s: {sorted(waiting)}")
            for job_id in sorted(waiting):
                job = _read(client, f"/v1/jobs/{job_id}")
                progress.update(bars[job_id], completed=job["percent"], stage=job["stage"] or job["status"])
                if job["status"] in ("dead", "cancelled"):
                    raise DemoFailed(f"job {job_id} ended as {job['status']}: {job}")
                if job["status"] == "completed":
                    progress.update(bars[job_id], completed=100, stage="done")
                    waiting.discard(job_id)
            time.sleep(0.1)


def _score(client: httpx2.Client, uploads: list[Uploaded], console: Console) -> None:
    table = Table(title="found beats against the truth", title_justify="left")
    for heading in ("song", "true BPM", "found BPM", "F (±70 ms)", "Cemgil (σ 40 ms)"):
        table.add_column(heading, justify="left" if heading == "song" else "right")
    failed: list[str] = []
    for upload in uploads:
        detail = _until(client, upload, lambda d: d["status"] == "ready")
        beats = _beats(client, detail)
        f, c = (of(upload.song.beats_ms, beats) for of in (metrics.f_measure, metrics.cemgil))
        bpm = detail["metrics"]["bpm"]
        table.add_row(upload.piece.title, f"{upload.piece.bpm:g}", f"{bpm:.2f}", f"{f:.4f}", f"{c:.4f}")
        if f < F_MEASURE_AIM or c < CEMGIL_AIM:
            failed.append(f"{upload.piece.title}: F {f:.4f}, Cemgil {c:.4f}")
    console.print(table)
    if failed:
        raise DemoFailed(f"below F {F_MEASURE_AIM} or Cemgil {CEMGIL_AIM}: {'; '.join(failed)}")


def _correct(client: httpx2.Client, upload: Uploaded, console: Console) -> None:
    """Correct a grid by hand, read it back, show who did what, and read the earlier state."""
    track = f"/v1/tracks/{upload.track_id}"
    detail = _read(client, track)
    before = _beats(client, detail)
    answer = _ok(
        client.put(
            f"{track}/beat-override",
            json={"edit": "offset", "offset_ms": 12.0, "note": "the ride cymbal drags"},
            headers={"If-Match": f'"{detail["revision"]}"'},
        )
    )
    after = _beats(client, _until(client, upload, lambda d: d["version"]["number"] == answer["version"]))
    if after != [round(ms + 12.0, 3) for ms in before]:
        raise DemoFailed("the corrected grid did not read back as it was written")
    console.print(f"corrected by hand: version {answer['version']}, every beat 12 ms later")
    _print_history(client, track, console)
    past = _ok(client.get(f"{track}/state", params={"revision": detail["revision"]}))["state"]
    if past["current"]["beats_ms"] != before or past["current"]["number"] == answer["version"]:
        raise DemoFailed("the state before the override has changed")
    console.print(
        f"travelled back to revision {detail['revision']}: version {past['current']['number']}, "
        f"first beat at {past['current']['beats_ms'][0]:g} ms"
    )


def _print_history(client: httpx2.Client, track: str, console: Console) -> None:
    table = Table(title="who changed what, and when", title_justify="left")
    for heading in ("revision", "when (UTC)", "who", "what"):
        table.add_column(heading, no_wrap=True)
    for event in _ok(client.get(f"{track}/history"))["items"]:
        who = event.get("actor_name") or event["actor"]
        table.add_row(str(event["revision"]), event["recorded_at"][11:23], who, event["type"])
    console.print(table)


def _beats(client: httpx2.Client, track: dict[str, Any]) -> list[float]:
    # By its number, because the view of the current version may be a moment behind this detail.
    version = track["version"]["number"]
    return _read(client, f"/v1/tracks/{track['track_id']}/beats?version={version}")["beats_ms"]


def _until(client: httpx2.Client, upload: Uploaded, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the track's detail once it shows the writes: the read side follows within milliseconds."""
    deadline = time.monotonic() + FOLLOW_S
    while not true(detail := _read(client, f"/v1/tracks/{upload.track_id}")):
        if time.monotonic() > deadline:
            raise DemoFailed(f"the read side did not follow: {detail}")
        time.sleep(0.02)
    return detail


def _read(client: httpx2.Client, path: str) -> dict[str, Any]:
    """Return the answer of an address that exists or soon will: views and queue follow a new write."""
    deadline = time.monotonic() + FOLLOW_S
    while (response := client.get(path)).status_code in (404, 503) and time.monotonic() < deadline:
        time.sleep(0.05)
    return _ok(response)


def _ok(response: httpx2.Response) -> dict[str, Any]:
    if response.is_error:
        raise DemoFailed(f"{response.request.method} {response.request.url}: {response.text}")
    return response.json()
