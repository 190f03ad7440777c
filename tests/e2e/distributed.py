"""What tests of a distributed installation under load share: clients at work, and the audit at the end."""

from __future__ import annotations

from analysis.synth import synthesise
from tests.servers.audit import audit
from tests.servers.beatledger import upload
from tests.servers.clients import Editor
from tests.servers.installation import OwnInstallation

SHORT = synthesise("edm", 128.0, 8.0, seed=3, sample_rate=22_050).wav()


def tracks_of(own: OwnInstallation, name: str, count: int) -> dict[str, str]:
    """Upload that many songs, each with a title of its own; returns the tracks with their jobs."""
    with own.client() as client:
        answers = [upload(client, SHORT, title=f"{name} {n}").json() for n in range(count)]
    return {answer["track_id"]: answer["job_id"] for answer in answers}


def editors_of(own: OwnInstallation, name: str, tracks: dict[str, str], pause_s: float) -> list[Editor]:
    """Return two editors a track: they race for its revisions."""
    return [Editor(own, f"{name}, editor {n} of {track}", track, pause_s) for track in tracks for n in (1, 2)]


def check(own: OwnInstallation, editors: list[Editor], uploaded: dict[str, str]) -> None:
    """The audit, with all that these clients were told."""
    renamed = {title: at for editor in editors for title, at in editor.acknowledged.items()}
    assert renamed
    audit(own, renamed, uploaded)
