"""The README's first session by a client of openapi-python-client: `session.py URL TOKEN SONG`."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

from beatledger_client import AuthenticatedClient
from beatledger_client.api.beats import get_beats, override_beats
from beatledger_client.api.history import diff_track, track_history, track_state
from beatledger_client.api.tracks import get_track, upload_track
from beatledger_client.api.versions import get_artefact
from beatledger_client.models import (
    BeatsShape,
    DiffShape,
    EventPage,
    GetArtefactArtefact,
    OffsetOverride,
    Problem,
    StateShape,
    TrackDetail,
    TrackDetailStatus,
    UploadAccepted,
    UploadTrackUploadFields,
    UploadTrackUploadFieldsPreset,
    VersionAccepted,
)
from beatledger_client.types import File


def main(url: str, token: str, song: Path) -> None:
    """Upload, wait, read, correct, look back; raise at the first answer that is not as documented."""
    client = AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True)
    fields = UploadTrackUploadFields(
        file=File(io.BytesIO(song.read_bytes()), "song.wav", "audio/wav"),
        title="Warehouse at dawn",
        artist="Ada",
        preset=UploadTrackUploadFieldsPreset.EDM,
        tags=["demo"],
    )
    sent = upload_track.sync_detailed(client=client, body=fields, idempotency_key="my-first-song")
    accepted = sent.parsed
    assert isinstance(accepted, UploadAccepted), accepted
    assert sent.headers["Location"] == f"/v1/tracks/{accepted.track_id}"
    track_id = accepted.track_id

    track = ready(client, track_id)
    assert (track.title, track.artist, track.tags) == ("Warehouse at dawn", "Ada", ["demo"])
    assert track.bpm is not None
    assert 127 < track.bpm < 129

    beats = get_beats.sync(track_id, client=client)
    assert isinstance(beats, BeatsShape), beats
    assert len(beats.beats_ms) > 100
    for name in (GetArtefactArtefact.GENESIS_MAP, GetArtefactArtefact.GRAPH_TEMPLATE):
        file = get_artefact.sync_detailed(track_id, 1, name, client=client)
        assert file.status_code == 200, file
        assert file.parsed["schemaVersion"], file

    edit = OffsetOverride(offset_ms=12, note="the kick drags")
    corrected = override_beats.sync(track_id, client=client, body=edit, if_match="*")
    assert isinstance(corrected, VersionAccepted), corrected
    assert (corrected.version, corrected.revision) == (2, 5)

    history = track_history.sync(track_id, client=client)
    assert isinstance(history, EventPage), history
    assert [event.revision for event in history.items] == [1, 2, 3, 4, 5]
    assert history.items[0].actor_name == "Ada"
    state = track_state.sync(track_id, client=client, revision=4)
    assert isinstance(state, StateShape), state
    diff = diff_track.sync(track_id, client=client, from_=4, to=5)
    assert isinstance(diff, DiffShape), diff
    assert any("beats_ms" in change.path for change in diff.changes)

    refused = track_state.sync(track_id, client=client, revision=99)
    assert isinstance(refused, Problem), refused
    assert refused.code == "not_found"


def ready(client: AuthenticatedClient, track_id: object) -> TrackDetail:
    """Return the track once its beats are there."""
    deadline = time.monotonic() + 60
    while True:
        track = get_track.sync(track_id, client=client)
        assert isinstance(track, TrackDetail), track
        if track.status == TrackDetailStatus.READY:
            return track
        assert time.monotonic() < deadline, track
        time.sleep(0.2)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    print("the session is complete")  # noqa: T201
