"""A producer's first session: upload, wait, read, correct, look back."""

import hashlib
import json
import struct
from typing import Any

import pytest

from tests.servers.beatledger import Served, ready, upload
from tests.servers.processes import until


@pytest.fixture(scope="module")
def track(up: Served, song: bytes) -> dict[str, Any]:
    """A track that was uploaded and analysed."""
    with up.client() as client:
        answer = upload(client, song, artist="The Testers", tags=["a", "b"], preset="rock")
        assert answer.status_code == 202, answer.text
        assert answer.headers["Location"] == f"/v1/tracks/{answer.json()['track_id']}"
        return ready(client, answer.json()["track_id"])


def test_an_uploaded_song_gets_its_beats(track: dict[str, Any]):
    assert track["metrics"]["bpm"] == pytest.approx(100.0, abs=0.5)
    assert track["metrics"]["basis"] == "self-agreement"
    assert track["version"] == {"number": 1, "reason": "analysis"}
    assert track["tags"] == ["a", "b"]


def test_the_genesis_map_is_what_its_etag_says(up: Served, track: dict[str, Any]):
    with up.client("viewer") as client:
        response = client.get(f"/v1/tracks/{track['track_id']}/versions/1/genesis-map")
        assert response.headers["ETag"] == f'"{hashlib.sha256(response.content).hexdigest()}"'
        document = json.loads(response.content)
        assert document["schemaVersion"] == "4.1.0"
        assert document["metadata"]["hashes"]["mapSha256"] == track["current_version"]["map_sha256"]
        again = client.get(response.url.path, headers={"If-None-Match": response.headers["ETag"]})
        assert again.status_code == 304
        part = client.get(response.url.path, headers={"Range": "bytes=0-9"})
        assert (part.status_code, part.content) == (206, response.content[:10])


def test_the_manifest_lists_files_that_are_what_it_says(up: Served, track: dict[str, Any]):
    with up.client("viewer") as client:
        base = f"/v1/tracks/{track['track_id']}/versions/1"
        files = client.get(f"{base}/manifest").json()["artefacts"]
        for name in ("genesis-map", "metrics"):
            content = client.get(f"{base}/{name}").content
            listed = next(f for f in files if f["name"] == name)
            assert listed["sha256"] == hashlib.sha256(content).hexdigest()
            assert listed["size"] == len(content)


def test_beats_come_as_json_and_as_little_endian_doubles(up: Served, track: dict[str, Any]):
    with up.client("viewer") as client:
        path = f"/v1/tracks/{track['track_id']}/beats"
        beats = client.get(path).json()["beats_ms"]
        binary = client.get(path, headers={"Accept": "application/octet-stream"}).content
    assert list(struct.unpack(f"<{len(beats)}d", binary)) == beats
    assert len(beats) > 25


def test_a_correction_is_a_version_that_can_be_taken_back(up: Served, song: bytes):
    with up.client() as client:
        track_id = upload(client, song, preset="rock").json()["track_id"]
        before = ready(client, track_id)
        path = f"/v1/tracks/{track_id}"
        machine = client.get(f"{path}/beats").json()["beats_ms"]

        applied = client.put(
            f"{path}/beat-override", json={"edit": "double"}, headers={"If-Match": f'"{before["revision"]}"'}
        )
        assert applied.json()["version"] == 2, applied.text
        wait = {"Consistency-Token": applied.headers["Consistency-Token"], "Prefer": "wait=5"}
        assert client.get(path, headers=wait).json()["version"] == {"number": 2, "reason": "override"}
        doubled = client.get(f"{path}/beats", headers=wait).json()["beats_ms"]
        assert len(doubled) == 2 * len(machine) - 1
        assert client.get(f"{path}/beats", params={"version": 1}).json()["beats_ms"] == machine

        stale = client.put(
            f"{path}/beat-override", json={"edit": "halve"}, headers={"If-Match": f'"{before["revision"]}"'}
        )
        assert stale.status_code == 412

        reverted = client.delete(f"{path}/beat-override")
        wait["Consistency-Token"] = reverted.headers["Consistency-Token"]
        detail = client.get(path, headers=wait).json()
        assert detail["version"] == {"number": 3, "reason": "revert"}
        assert client.get(f"{path}/beats", headers=wait).json()["beats_ms"] == machine


def test_the_history_says_who_did_what_and_the_past_can_be_visited(up: Served, song: bytes):
    with up.client(name="Grace") as client:
        track_id = upload(client, song, preset="rock").json()["track_id"]
        ready(client, track_id)
        path = f"/v1/tracks/{track_id}"
        patched = client.patch(path, json={"title": "Renamed"}, headers={"If-Match": "*"})
        events = client.get(f"{path}/history").json()["items"]
        assert [e["type"] for e in events] == [
            "track.uploaded",
            "track.analysis_queued",
            "track.analysis_started",
            "track.analysis_completed",
            "track.described",
        ]
        assert events[0]["actor_name"] == "Grace"
        assert events[2]["actor"] == "service:analysis"
        assert {e["correlation_id"] for e in events[:4]} == {events[0]["command_id"]}
        assert events[3]["causation_id"] == events[1]["event_id"]

        first = client.get(f"{path}/state", params={"revision": 2}).json()
        assert first["state"]["profile"]["title"] == "Song"
        at = client.get(f"{path}/state", params={"at": events[3]["recorded_at"]}).json()
        assert (at["revision"], at["state"]["profile"]["title"]) == (4, "Song")
        changes = client.get(f"{path}/diff", params={"from": 4, "to": patched.json()["revision"]}).json()
        assert [(c["path"], c["old"], c["new"]) for c in changes["changes"]] == [
            ("profile.title", "Song", "Renamed")
        ]


def test_lists_filter_sort_and_page(up: Served, track: dict[str, Any], song: bytes):
    with up.client() as client:
        wait = {
            "Consistency-Token": upload(client, song).headers["Consistency-Token"],
            "Prefer": "wait=5",
        }
        assert client.get("/v1/tracks", headers=wait).status_code == 200
        found = client.get("/v1/tracks", params={"tag": "a", "bpm_min": 99, "bpm_max": 101}).json()
        assert [row["track_id"] for row in found["items"]] == [track["track_id"]]
        assert not client.get("/v1/tracks", params={"tag": "nobody"}).json()["items"]
        first = client.get("/v1/tracks", params={"sort": "created_at", "limit": 1}).json()
        rest = client.get(
            "/v1/tracks", params={"sort": "created_at", "limit": 200, "cursor": first["next_cursor"]}
        ).json()
        ids = [row["track_id"] for row in first["items"] + rest["items"]]
        assert ids == sorted(ids), "UUIDv7 ids sort by their time"
        assert len(ids) == len(set(ids))


def test_two_uploads_with_one_key_are_one_track(up: Served, song: bytes):
    with up.client() as client:
        first = upload(client, song, key="once")
        second = upload(client, song, key="once")
        assert (second.status_code, second.json()) == (first.status_code, first.json())
        other = upload(client, song, key="once", artist="Somebody else")
        assert (other.status_code, other.json()["code"]) == (422, "key_reused")


def test_an_archived_track_leaves_the_lists_and_keeps_its_history(up: Served, song: bytes):
    with up.client() as client:
        track_id = upload(client, song, tags="to-archive").json()["track_id"]
        archived = client.post(f"/v1/tracks/{track_id}:archive", json={"reason": "a test"})
        assert archived.status_code == 200, archived.text
        wait = {"Consistency-Token": archived.headers["Consistency-Token"], "Prefer": "wait=5"}
        listed = client.get("/v1/tracks", params={"tag": "to-archive"}, headers=wait).json()
        assert listed["items"] == []
        assert client.get(f"/v1/tracks/{track_id}/history").json()["items"][-1]["type"] == "track.archived"


def test_a_viewer_may_look_and_not_touch(up: Served, track: dict[str, Any], song: bytes):
    with up.client("viewer") as client:
        assert client.get(f"/v1/tracks/{track['track_id']}").status_code == 200
        refused = upload(client, song)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert client.get("/v1/events").status_code == 403
        client.headers.pop("Authorization")
        assert client.get("/v1/tracks").status_code == 401


def test_auditors_read_the_log_as_lines(up: Served, track: dict[str, Any]):
    with up.client("auditor") as client:
        lines = client.get("/v1/events", headers={"Accept": "application/x-ndjson"}).text.splitlines()
    positions = [json.loads(line)["position"] for line in lines]
    assert positions == list(range(1, len(positions) + 1))


def test_commands_beside_a_running_installation_work_on_it(up: Served, track: dict[str, Any]):
    listed = up.cli("projections", "list")
    assert listed.returncode == 0, listed.stderr
    assert "track_detail" in listed.stdout
    rebuilt = up.cli("projections", "rebuild", "track_list")
    assert rebuilt.returncode == 0, rebuilt.stderr
    with up.client("viewer") as client:
        found = client.get("/v1/tracks", params={"tag": "a"}).json()["items"]
        assert [row["track_id"] for row in found] == [track["track_id"]]
        # What comes after the switch is projected into the new generation.
        with up.client() as producer:
            changed = producer.patch(
                f"/v1/tracks/{track['track_id']}",
                json={"tags": ["a", "b", "after"]},
                headers={"If-Match": "*"},
            )
            assert changed.status_code == 200, changed.text
        until(
            lambda: client.get("/v1/tracks", params={"tag": "after"}).json()["items"],
            what="the rebuilt view's next event",
        )
    exported = up.cli("audit", "export")
    events = [json.loads(line) for line in exported.stdout.splitlines()]
    assert [e["position"] for e in events] == list(range(1, len(events) + 1))
    assert up.cli("jobs", "list").returncode == 0
