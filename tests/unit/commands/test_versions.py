"""Each version is scored against the right beats, rendered, stored and listed before it is recorded."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pytest

from analysis.genesis_map import hash_of
from analysis.graph_document import GraphTemplate, validate
from analysis.peaks import peaks
from analysis.result import FEW_BEATS, Agreement, Analysed
from commands.issue import Answer, Caller, Issue
from commands.scores import TOO_FEW_TO_SCORE
from domain.errors import Invalid, KeyReused, NotFound, Rejected
from domain.track import commands as c
from domain.track.edits import Edit, ExplicitBeats, Offset, Reshape
from tests.unit.commands.house import ADA, House
from tests.unit.domain import tracks as t

pytestmark = pytest.mark.anyio

WORKER = Caller("service:analysis", frozenset({"service"}))
BEATS = tuple(500.0 * n for n in range(1, 41))
EARLY = tuple(ms - 30.0 for ms in BEATS)
WAVEFORM = b"".join(zoom.binary() for zoom in peaks(np.linspace(-0.5, 0.5, 5000, dtype=np.float32)))
DAMAGED = "damaged: nothing after 50.0 s could be decoded"
AGREEMENT = Agreement(0.97, 0.91, ("superflux-median", "aubio-kl"), 78)


def analysed(beats: tuple[float, ...] = BEATS, **change: Any) -> Analysed:
    result = Analysed(
        engine="beatledger/1.0",
        settings={"preset": "edm", "bpm_hint": None, "engine": "beatledger"},
        duration_ms=59_990.0,
        bpm=120.0,
        beats_ms=beats,
        downbeats_ms=(),
        layers={
            "rhythm": {
                "source": "analysis",
                "beatGridMs": list(beats),
                "downbeatMs": [],
                "beatStrength": [1.0] * len(beats),
                "onsetMs": [],
                "tempoCurve": None,
            }
        },
        agreement=AGREEMENT,
        warnings=(DAMAGED,),
        stage_ms={"decoding": 300.0, "beats": 60.5},
        peaks=WAVEFORM,
    )
    return dataclasses.replace(result, **change)


LISTED = ("genesis-map", "graph-template", "metrics", "peaks", "peaks-binary", "timings")
MEDIA_TYPES = {"peaks-binary": "application/octet-stream"}


class Studio(House):
    """A house with a worker in it."""

    async def start(self, number: int = 1, attempt: int = 1) -> None:
        await self.pipeline.execute(t.start(number, attempt), Issue(WORKER))

    async def complete(self, result: Analysed, number: int = 1, attempt: int = 1) -> Answer:
        command = t.complete(number, attempt).model_copy(
            update={"beats_ms": result.beats_ms, "downbeats_ms": (), "made": None}
        )
        return await self.pipeline.execute(command, Issue(WORKER), self.versions.completed(result))

    async def analyse_again(self, result: Analysed) -> None:
        await self.issue(c.RequestAnalysis(track_id=t.TRACK))
        await self.start(2)
        await self.complete(result, 2)

    async def override(self, edit: Edit) -> Answer:
        return await self.issue(c.ApplyBeatOverride(track_id=t.TRACK, edit=edit))

    async def revert(self) -> Answer:
        return await self.issue(c.RevertBeatOverride(track_id=t.TRACK))

    async def refer(self, beats: tuple[float, ...]) -> Answer:
        return await self.issue(
            c.UploadReference(track_id=t.TRACK, kind="beat-times", sha256="e" * 64, reference_ms=beats)
        )

    @property
    def last(self) -> dict[str, Any]:
        """The data of the last event."""
        return dict(self.store.log[-1].data)

    def file(self, name: str) -> Any:
        """An artefact of the last version, read."""
        return json.loads(self.artefacts.kept[self.last["artefacts"][name]["sha256"]])

    def score(self) -> tuple[str, str | None, float | None]:
        """What the last version's figures rest on, against whose beats, and its F-measure."""
        metrics = self.last["metrics"]
        reference = metrics["reference"]
        return metrics["basis"], reference and reference["kind"], metrics["f_measure"]


@pytest.fixture
async def studio() -> Studio:
    """A track whose first analysis is running."""
    studio = Studio()
    await studio.given_a_track()
    await studio.start()
    return studio


@pytest.fixture
async def ready(studio: Studio) -> Studio:
    """A track with its first version."""
    await studio.complete(analysed())
    return studio


# What a version consists of


async def test_an_analysis_is_scored_by_agreement_and_says_so(ready: Studio):
    assert ready.last["metrics"] == {
        "duration_ms": 59_990.0,
        "bpm": 120.0,
        "f_measure": 0.97,
        "cemgil": 0.91,
        "basis": "self-agreement",
        "reference": {
            "kind": "agreement",
            "engine": "superflux-median+aubio-kl",
            "beats": 78,
            "sha256": None,
        },
    }
    assert ready.last["warnings"] == [DAMAGED]


async def test_the_map_is_stored_under_its_number_with_its_own_hash(ready: Studio):
    document = ready.file("genesis-map")
    assert (document["trackId"], document["version"]) == (str(t.TRACK), 1)
    assert document["metadata"]["filename"] == "song.wav"
    assert document["metadata"]["timestamp"] == "2026-01-01T12:00:00.000Z"
    assert document["metadata"]["hashes"] == {
        "audioSha256": "b" * 64,
        "mapSha256": ready.last["map_sha256"],
    }
    assert document["globalMetrics"]["fMeasure"] == 0.97
    assert document["globalMetrics"]["metricsReference"]["engine"] == "superflux-median+aubio-kl"
    assert document["layers"]["rhythm"]["beatGridMs"] == list(BEATS)
    content = ready.artefacts.kept[ready.last["artefacts"]["genesis-map"]["sha256"]]
    assert hash_of(content) == ready.last["map_sha256"]


async def test_every_file_is_named_by_its_content(ready: Studio):
    artefacts = ready.last["artefacts"]
    assert artefacts.keys() == {*LISTED, "manifest"}
    for name, told in artefacts.items():
        content = ready.artefacts.kept[told["sha256"]]
        assert told == {
            "sha256": sha256(content).hexdigest(),
            "bytes": len(content),
            "media_type": MEDIA_TYPES.get(name, "application/json"),
        }


async def test_the_manifest_lists_the_other_files(ready: Studio):
    artefacts = ready.last["artefacts"]
    assert ready.file("manifest") == {
        "track_id": str(t.TRACK),
        "version": 1,
        "status": "complete",
        "artefacts": [
            {
                "name": name,
                "path": f"tracks/{t.TRACK}/versions/1/{name}",
                "size": artefacts[name]["bytes"],
                "sha256": artefacts[name]["sha256"],
                "media_type": MEDIA_TYPES.get(name, "application/json"),
            }
            for name in LISTED
        ],
        "map_sha256": ready.last["map_sha256"],
        "warnings": [DAMAGED],
        "firmware_min_version": "1.2.0",
    }
    assert ready.last["firmware_min_version"] == "1.2.0"


async def test_the_metrics_file_holds_the_figures_of_the_event(ready: Studio):
    document = ready.file("metrics")
    assert (document.pop("track_id"), document.pop("version")) == (str(t.TRACK), 1)
    agreement = document.pop("agreement")
    assert (agreement["f_measure"], agreement["engines"]) == (0.97, ["superflux-median", "aubio-kl"])
    assert document == ready.last["metrics"]


async def test_a_correction_answers_with_its_version(ready: Studio):
    answer = await ready.override(Reshape(edit="double"))
    assert (answer.status, answer.body) == (200, {"version": 2})
    assert (await ready.revert()).body == {"version": 3}
    assert (await ready.refer(BEATS)).body == {"version": 4}


async def test_an_overridden_map_has_the_grid_of_its_event(ready: Studio):
    await ready.override(Reshape(edit="halve"))
    rhythm = ready.file("genesis-map")["layers"]["rhythm"]
    assert rhythm["beatGridMs"] == ready.last["beats_ms"] == list(BEATS[::2])
    assert rhythm["source"] == "override"
    assert ready.last["metrics"]["bpm"] == 60.0
    assert ready.file("genesis-map")["globalMetrics"]["bpm"] == 60.0
    assert ready.file("genesis-map")["version"] == 2


# The files beside the map


def graph_of(studio: Studio) -> GraphTemplate:
    """The last version's graph, read by the types its schema is made of, and walked."""
    graph = msgspec.convert(studio.file("graph-template"), GraphTemplate)
    validate(graph)
    return graph


async def test_the_graph_is_that_of_the_versions_own_map(ready: Studio):
    first = graph_of(ready)
    assert (first.track_id, first.version) == (str(t.TRACK), 1)
    assert first.map_sha256 == ready.last["map_sha256"]
    assert [node.kind for node in first.nodes] == ["song", "section"]
    await ready.override(ExplicitBeats(beats_ms=BEATS, downbeats_ms=BEATS[::4]))
    second = graph_of(ready)
    assert (second.version, second.map_sha256) == (2, ready.last["map_sha256"])
    assert [node.start_ms for node in second.nodes if node.kind == "bar"] == list(BEATS[::4])


async def test_every_version_has_a_graph_and_the_waveform_of_its_audio(ready: Studio):
    first = ready.last["artefacts"]
    for make in (lambda: ready.override(Reshape(edit="halve")), ready.revert, lambda: ready.refer(BEATS)):
        await make()
        artefacts = ready.last["artefacts"]
        assert artefacts.keys() == first.keys() - {"timings"}
        assert graph_of(ready).version == ready.last["version"]
        for name in ("peaks", "peaks-binary"):
            assert artefacts[name] == first[name]
        listed = {entry["name"]: entry["sha256"] for entry in ready.file("manifest")["artefacts"]}
        assert listed == {n: artefact["sha256"] for n, artefact in artefacts.items() if n != "manifest"}


async def test_the_waveform_says_the_same_in_both_forms(ready: Studio):
    assert ready.artefacts.kept[ready.last["artefacts"]["peaks-binary"]["sha256"]] == WAVEFORM
    zooms = ready.file("peaks")["zooms"]
    assert [zoom["samples_per_pixel"] for zoom in zooms] == [256, 1024, 4096, 16_384]
    expected = [zoom.json() for zoom in peaks(np.linspace(-0.5, 0.5, 5000, dtype=np.float32))]
    assert zooms == [json.loads(zoom) for zoom in expected]


async def test_the_timings_are_those_of_the_run(ready: Studio):
    document = ready.file("timings")
    assert document["name"] == "song.wav"
    assert [frame["name"] for frame in document["shared"]["frames"]] == ["decoding", "beats"]
    assert document["profiles"][0]["endValue"] == 360.5


async def test_a_correction_of_a_map_of_a_later_schema_needs_no_migration(ready: Studio):
    """As when a newer process analysed the song: its map is corrected, walked and listed by this one."""
    later = (Path(__file__).parents[3] / "docs/schemas/examples/genesis-map-5.0.0.json").read_bytes()
    ready.artefacts.kept[ready.last["artefacts"]["genesis-map"]["sha256"]] = later
    await ready.override(ExplicitBeats(beats_ms=BEATS[:20], downbeats_ms=BEATS[:20:4]))
    document = ready.file("genesis-map")
    assert (document["schemaVersion"], document["globalMetrics"]["key"]) == ("5.0.0", "A minor")
    assert document["layers"]["harmony"] == json.loads(later)["layers"]["harmony"]
    assert document["layers"]["rhythm"]["beatGridMs"] == list(BEATS[:20])
    assert [node.start_ms for node in graph_of(ready).nodes if node.kind == "bar"] == list(BEATS[:20:4])


async def test_a_run_that_told_neither_has_neither_waveform_nor_timings(studio: Studio):
    await studio.complete(analysed(peaks=b"", stage_ms={}))
    assert studio.last["artefacts"].keys() == {"genesis-map", "graph-template", "metrics", "manifest"}
    await studio.override(Reshape(edit="halve"))
    assert studio.last["artefacts"].keys() == {"genesis-map", "graph-template", "metrics", "manifest"}


async def test_a_recording_without_a_sample_has_an_empty_waveform(studio: Studio):
    nothing = b"".join(zoom.binary() for zoom in peaks(np.zeros(0, np.float32)))
    await studio.complete(analysed(peaks=nothing))
    assert [zoom["data"] for zoom in studio.file("peaks")["zooms"]] == [[], [], [], []]


# What it is scored against


async def test_an_override_is_the_truth_the_machine_is_scored_against(ready: Studio):
    """Of twice as many beats the machine had found half: precision 1, recall 40 of 79."""
    await ready.override(Reshape(edit="double"))
    assert ready.score() == ("user-reference", "override", round(80 / 119, 4))
    assert ready.last["metrics"]["reference"]["beats"] == 79


async def test_an_override_is_never_scored_against_itself(ready: Studio):
    await ready.override(Offset(offset_ms=200.0))
    await ready.override(Offset(offset_ms=0.0))
    assert ready.score() == ("user-reference", "override", 0.0)


async def test_a_revert_brings_the_machines_agreement_and_warnings_back(ready: Studio):
    first = ready.last
    await ready.override(Reshape(edit="halve"))
    assert ready.file("metrics")["agreement"] is None
    await ready.revert()
    assert ready.last["metrics"] == first["metrics"]
    assert ready.last["warnings"] == first["warnings"]
    assert ready.last["map_sha256"] == first["map_sha256"]
    assert ready.file("genesis-map")["layers"]["rhythm"]["beatStrength"] == [1.0] * len(BEATS)


async def test_a_reanalysis_beside_an_override_is_scored_against_it(ready: Studio):
    await ready.override(ExplicitBeats(beats_ms=EARLY))
    await ready.analyse_again(analysed(tuple(ms + 100.0 for ms in BEATS)))
    assert ready.score() == ("user-reference", "override", 0.0)
    assert ready.file("metrics")["agreement"]["f_measure"] == 0.97


async def test_a_revert_after_a_reanalysis_restores_the_later_grid_with_its_own_agreement(ready: Studio):
    await ready.override(ExplicitBeats(beats_ms=EARLY))
    later = dataclasses.replace(AGREEMENT, f_measure=0.5)
    await ready.analyse_again(analysed(EARLY, agreement=later))
    await ready.revert()
    assert ready.last["beats_ms"] == list(EARLY)
    assert ready.score() == ("self-agreement", "agreement", 0.5)


async def test_a_reanalysis_without_an_override_is_scored_by_its_own_agreement(ready: Studio):
    await ready.override(ExplicitBeats(beats_ms=EARLY))
    await ready.revert()
    await ready.analyse_again(analysed(EARLY, agreement=dataclasses.replace(AGREEMENT, f_measure=0.5)))
    assert ready.score() == ("self-agreement", "agreement", 0.5)


async def test_a_reference_scores_the_grid_that_plays(ready: Studio):
    await ready.refer(BEATS[:20])
    assert ready.score() == ("user-reference", "beat-times", round(40 / 60, 4))
    assert ready.last["metrics"]["reference"]["sha256"] == "e" * 64
    assert ready.last["beats_ms"] == list(BEATS)


async def test_a_reference_scores_overrides_reverts_and_analyses_from_then_on(ready: Studio):
    await ready.refer(BEATS)
    await ready.override(Offset(offset_ms=200.0))
    assert ready.score() == ("user-reference", "beat-times", 0.0)
    await ready.revert()
    assert ready.score() == ("user-reference", "beat-times", 1.0)
    await ready.analyse_again(analysed(BEATS[:20]))
    assert ready.score() == ("user-reference", "beat-times", round(40 / 60, 4))


async def test_a_reference_given_over_an_override_scores_the_override(ready: Studio):
    await ready.override(ExplicitBeats(beats_ms=EARLY))
    await ready.refer(EARLY)
    assert ready.score() == ("user-reference", "beat-times", 1.0)
    assert ready.file("genesis-map")["layers"]["rhythm"]["source"] == "override"


async def test_too_few_beats_give_no_figures_but_a_warning(ready: Studio):
    await ready.override(ExplicitBeats(beats_ms=BEATS[:4]))
    assert ready.score() == ("user-reference", "override", None)
    assert (ready.last["metrics"]["cemgil"], ready.last["metrics"]["bpm"]) == (None, None)
    assert ready.last["warnings"] == [DAMAGED, TOO_FEW_TO_SCORE]


async def test_a_correction_keeps_the_warnings_of_the_audio_but_not_those_of_the_grid_it_replaces(
    studio: Studio,
):
    """Its layers are still those of the damaged file; its own beats are there."""
    found = analysed(BEATS[:4], agreement=None, bpm=None, warnings=(DAMAGED, FEW_BEATS))
    await studio.complete(found)
    await studio.override(ExplicitBeats(beats_ms=BEATS))
    assert studio.last["warnings"] == [DAMAGED, TOO_FEW_TO_SCORE]
    await studio.revert()
    assert studio.last["warnings"] == [DAMAGED, FEW_BEATS]


async def test_the_warning_of_a_comparison_does_not_outlive_it(ready: Studio):
    await ready.refer(BEATS[:4])
    assert ready.last["warnings"] == [DAMAGED, TOO_FEW_TO_SCORE]
    await ready.refer(BEATS)
    assert ready.last["warnings"] == [DAMAGED]


async def test_an_analysis_without_agreement_has_no_figures(studio: Studio):
    silent = analysed(beats=(), agreement=None, bpm=None, warnings=("silent",))
    await studio.complete(silent)
    assert studio.score() == ("self-agreement", None, None)
    assert studio.last["warnings"] == ["silent"]


# Handed in twice


async def test_a_result_handed_in_again_is_the_same_whatever_it_took(studio: Studio):
    command = t.complete().model_copy(update={"beats_ms": BEATS, "made": None})
    issue, prepare = Issue(WORKER, UUID(int=7)), studio.versions.completed(analysed())
    first = await studio.pipeline.execute(command, issue, prepare)
    slower = command.model_copy(update={"took_ms": 99.0})
    again = await studio.pipeline.execute(slower, issue, prepare)
    assert (again.repeated, again.revision, again.body) == (True, first.revision, {"version": 1})
    with pytest.raises(KeyReused):
        await studio.pipeline.execute(command.model_copy(update={"beats_ms": EARLY}), issue, prepare)


async def test_a_failure_reported_again_is_the_same_whenever_it_is(studio: Studio):
    issue = Issue(WORKER, UUID(int=7))
    await studio.pipeline.execute(t.fail(), issue)
    later = t.fail().model_copy(update={"failed_at": datetime.now(UTC), "detail": "SIGBUS"})
    assert (await studio.pipeline.execute(later, issue)).repeated
    with pytest.raises(KeyReused):
        await studio.pipeline.execute(t.fail(code="timed_out"), issue)


# When it is not made


@pytest.mark.parametrize(("number", "attempt", "rule"), [(1, 2, "stale_attempt"), (2, 1, "job_superseded")])
async def test_a_late_workers_result_costs_no_rendering(studio: Studio, number: int, attempt: int, rule: str):
    with pytest.raises(Rejected) as refused:
        await studio.complete(analysed(), number, attempt)
    assert refused.value.rule == rule
    assert studio.artefacts.kept == {}


async def test_a_correction_before_the_first_version_is_refused(studio: Studio):
    with pytest.raises(Rejected) as refused:
        await studio.override(Reshape(edit="double"))
    assert refused.value.rule == "no_version"


async def test_a_grid_nobody_could_play_leaves_no_file(ready: Studio):
    before = set(ready.artefacts.kept)
    with pytest.raises(Invalid):
        await ready.override(ExplicitBeats(beats_ms=(5.0, 5.0)))
    with pytest.raises(Invalid):
        await ready.refer((500.0, 99_000_000.0))
    with pytest.raises(Rejected):
        await ready.revert()
    assert set(ready.artefacts.kept) == before


async def test_a_correction_of_no_track_or_an_archived_one_is_refused(ready: Studio):
    with pytest.raises(NotFound):
        await House().issue(c.RevertBeatOverride(track_id=t.TRACK))
    await ready.issue(c.ArchiveTrack(track_id=t.TRACK))
    with pytest.raises(Rejected) as refused:
        await ready.override(Reshape(edit="double"))
    assert refused.value.rule == "track_archived"


async def test_two_corrections_at_once_get_a_number_and_a_map_each(ready: Studio):
    """The loser, in another process, renders again, under the next number and over the winner's grid."""
    double = c.ApplyBeatOverride(track_id=t.TRACK, edit=Reshape(edit="double"))
    raced: list[None] = []

    async def prepare(state: Any, command: c.ApplyBeatOverride) -> c.ApplyBeatOverride:
        prepared = await ready.versions.corrected(state, command)
        if not raced:
            raced.append(None)
            halve = c.ApplyBeatOverride(track_id=t.TRACK, edit=Reshape(edit="halve"))
            await ready.another().execute(halve, Issue(ADA))
        return prepared

    answer = await ready.issue(double, prepare)
    assert answer.body == {"version": 3}
    assert ready.file("genesis-map")["version"] == 3
    assert ready.last["base_version"] == 2
    assert ready.last["beats_ms"] == list(BEATS[:-1])
