"""What readers see of a track after what happened to it."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from domain.events import REGISTRY
from domain.track import events as e
from domain.track.state import INITIAL, Absent, Archived, Ready, Track, evolve
from projections.fold import fold
from projections.track_detail import TRACK_DETAIL
from projections.track_list import TRACK_LIST
from projections.view import Document
from projections.views import VIEWS
from tests.unit.domain import tracks as t
from tests.unit.projections.histories import document, history, recorded, track_id

FIRST = (t.uploaded(), t.queued())
ANALYSED = (*FIRST, t.started(), t.completed())
GRID = (10.0, 20.0, 30.0)


def row(*events: Any) -> dict[str, Any]:
    return document(TRACK_LIST, *events)


def detail(*events: Any) -> dict[str, Any]:
    return document(TRACK_DETAIL, *events)


@pytest.mark.parametrize(
    ("events", "status"),
    [
        (FIRST, "queued"),
        ((*FIRST, t.started()), "analysing"),
        ((*FIRST, t.started(), t.failed()), "queued"),
        ((*FIRST, t.started(), t.abandoned()), "failed"),
        ((*FIRST, t.abandoned(reason="cancelled")), "failed"),
        (ANALYSED, "ready"),
        ((*ANALYSED, t.queued(2, "request")), "ready"),
        ((*ANALYSED, t.queued(2, "request"), t.started(2), t.abandoned(2)), "ready"),
        ((*ANALYSED, e.TrackArchived(None)), "archived"),
    ],
)
def test_list_and_detail_show_the_same_status(events: tuple[Any, ...], status: str) -> None:
    assert (row(*events)["status"], detail(*events)["status"]) == (status, status)


@pytest.mark.parametrize("seed", range(40))
def test_the_folds_agree_with_the_deciders_own_state(seed: int) -> None:
    """Status, current version, who made it, and the job: as `evolve` has them, after each event."""
    random = Random(seed)
    track = track_id(random)
    events = history(random, track, 40)
    state: Track = INITIAL
    row: Document | None = None
    detail: Document | None = None
    for event, as_read in zip(events, recorded(events, track), strict=True):
        state = evolve(state, event)
        row, detail = TRACK_LIST.apply(row, as_read), TRACK_DETAIL.apply(detail, as_read)
        assert row is not None
        assert detail is not None
        assert not isinstance(state, Absent)
        for body in (row, detail):
            assert body["status"] == type(state).__name__.lower()
            assert body["revision"] == as_read.revision
            assert (body["title"], tuple(body["tags"])) == (state.profile.title, state.profile.tags)
            if isinstance(state, Ready):
                current = state.current
                assert (body["version"], body["overridden"]) == (current.number, current.overridden)
        if not isinstance(state, Archived) and detail["job"] is not None:
            shown = tuple(detail["job"][name] for name in ("number", "status", "attempt"))
            assert shown == (state.job.number, state.job.status, state.job.attempt)


def test_a_row_shows_the_current_versions_figures() -> None:
    shown = row(*ANALYSED)
    assert (shown["version"], shown["bpm"], shown["f_measure"], shown["cemgil"]) == (1, 120.0, 0.97, 0.91)
    assert (shown["metrics_basis"], shown["duration_ms"]) == ("self-agreement", 60_000.0)
    assert (shown["created_at"], shown["updated_at"]) == (
        "2026-01-01T12:00:01.000000Z",
        "2026-01-01T12:00:04.000000Z",
    )


def test_an_empty_artist_removes_the_artist_and_what_is_left_out_stays() -> None:
    shown = row(*FIRST, e.TrackDescribed(artist="", tags=("y",)))
    assert (shown["title"], shown["artist"], shown["tags"]) == ("Song", None, ["y"])
    assert shown["_search"] == "song"


def test_an_archived_track_stays_as_it_was() -> None:
    """A late event of a worker moves the revision, nothing else."""
    before = detail(*ANALYSED, e.TrackArchived("old"))
    after = detail(*ANALYSED, e.TrackArchived("old"), t.queued(2, "request"))
    assert after == {**before, "revision": 6, "updated_at": after["updated_at"]}


def test_every_version_has_an_entry_with_its_origin() -> None:
    events = (*ANALYSED, t.overridden(2, GRID), t.reverted(3, restores=1))
    versions = list(entries_of("track_versions", *events).values())
    lines = [(v["number"], v["reason"], v["base_version"], v["restores"]) for v in versions]
    assert lines == [(1, "analysis", None, None), (2, "override", 1, None), (3, "revert", None, 1)]
    assert {v["engine"] for v in versions} == {"beatledger 1"}
    shown = detail(*events)
    assert {"_track_id": str(t.TRACK), **shown["current_version"]} == versions[2]
    assert shown["versions"] == {"count": 3}
    assert shown["artefacts"]["genesis-map"]["sha256"] == "a" * 64


def test_the_detail_holds_no_grid() -> None:
    """However many beats a song has, its page stays small."""
    beats = tuple(float(n) for n in range(20_000))
    events = (*FIRST, t.started(), t.completed(beats_ms=beats), t.overridden(2, beats))
    assert len(msgspec.json.encode(detail(*events))) < 5_000


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_document_does_not_grow_with_the_versions_of_its_track(view: Any) -> None:
    """A list of versions, or an engine for each, would pass MongoDB's 16 MB one day."""
    few, many = (
        document(view, *ANALYSED, *(t.overridden(2 + n, GRID) for n in range(count))) for count in (10, 1_000)
    )
    assert len(msgspec.json.encode(many)) < len(msgspec.json.encode(few)) + 20


def test_each_version_names_the_engine_it_descends_from() -> None:
    """By hand on the current one; a revert goes back to the latest analysis, which an override outlived."""
    other = t.completed(3, number=2, engine="other 2")
    events = (
        *(*ANALYSED, t.overridden(2, GRID), t.queued(2, "request"), t.started(2), other),
        *(t.overridden(4, GRID), t.reverted(5, restores=3), t.overridden(6, GRID)),
    )
    ours, others = "beatledger 1", "other 2"
    engines = [ours, ours, others, ours, others, others]
    assert [v["engine"] for v in entries_of("track_versions", *events).values()] == engines
    maps = entries_of("genesis_maps", *events).values()
    assert [entry["metadata"]["analysis_engine"] for entry in maps] == engines


def test_a_reanalysis_under_an_override_is_told_as_a_disagreement() -> None:
    again = (t.queued(2, "request"), t.started(2), t.completed(3, number=2))
    shown = detail(*ANALYSED, t.overridden(2, GRID), *again)
    assert shown["version"] == 2
    disagreement = shown["job"]["disagreement"]
    assert (disagreement["current_version"], disagreement["analysed_version"]) == (2, 3)
    assert detail(*ANALYSED, t.overridden(2, GRID), *again, t.reverted(4, 3))["job"]["disagreement"] is None
    assert detail(*ANALYSED, *(t.queued(2), t.started(2), t.completed(2, 2)))["job"]["disagreement"] is None


def test_a_job_shows_why_it_waits_and_why_it_ended() -> None:
    waiting = detail(*FIRST, t.started(), t.failed())["job"]
    assert (waiting["status"], waiting["attempt"], waiting["reason"]) == ("retrying", 1, None)
    assert waiting["error"] == {"code": "crashed", "detail": "SIGSEGV"}
    assert waiting["retry_at"] == "2026-01-01T12:00:00Z"
    ended = detail(*FIRST, t.abandoned(reason="cancelled"))["job"]
    assert (ended["status"], ended["reason"], ended["origin"]) == ("cancelled", "cancelled", "upload")


def entries_of(name: str, *events: Any) -> dict[str, dict[str, Any]]:
    view = next(view for view in VIEWS if view.name == name)
    return dict(fold(view, REGISTRY, {}, recorded(events)).entries)


def test_every_version_has_its_genesis_map_entry() -> None:
    entries = entries_of("genesis_maps", *ANALYSED, t.overridden(2, GRID))
    assert list(entries) == [f"{t.TRACK}:1", f"{t.TRACK}:2"]
    entry = entries[f"{t.TRACK}:2"]
    assert (entry["track_id"], entry["version"], entry["beats_ms"]) == (str(t.TRACK), 2, list(GRID))
    assert entry["global_metrics"]["bpm"] == 120.0
    assert entry["metadata"] == {
        "filename": "song.wav",
        "analysis_engine": "beatledger 1",
        "timestamp": "2026-01-01T12:00:05.000000Z",
        "hashes": {"audio_sha256": "b" * 64, "map_sha256": "c" * 64},
    }


def test_every_version_has_its_manifest() -> None:
    entries = entries_of("artefact_manifests", *ANALYSED, t.overridden(2, GRID))
    manifest = entries[f"{t.TRACK}:1"]
    assert (manifest["status"], manifest["firmware_min_version"], manifest["warnings"]) == (
        "complete",
        "1.0.0",
        [],
    )
    assert manifest["artefacts"] == [
        {
            "name": "genesis-map",
            "path": f"tracks/{t.TRACK}/versions/1/genesis-map",
            "size": 10,
            "sha256": "a" * 64,
            "media_type": "application/json",
        }
    ]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_fold_changes_neither_its_document_nor_its_event(view: Any) -> None:
    """Folding is pure: the same arguments give the same result, and are as before."""
    random = Random(7)
    track = track_id(random)
    body = None
    for event in recorded(history(random, track, 60), track):
        before = msgspec.json.encode((body, event.data))
        first, second = view.apply(body, event), view.apply(body, event)
        if view.entries:
            assert list(view.entries(first, event)) == list(view.entries(first, event))
        assert msgspec.json.encode((body, event.data)) == before
        assert first == second
        body = first
