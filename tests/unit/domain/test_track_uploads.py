"""Uploading, describing and archiving a track."""

import pytest
from pydantic import ValidationError

from domain.errors import NotFound, Rejected
from domain.track import commands as c
from domain.track import events as e
from tests.unit.domain import tracks as t
from tests.unit.domain.specification import given


def test_an_upload_makes_the_track_and_queues_its_first_analysis():
    given().when(t.upload()).then(t.uploaded(), t.queued())


def test_tags_given_twice_count_once():
    given().when(t.upload(tags=("a", "b", "a"))).then(t.uploaded(tags=("a", "b")), t.queued())


def test_the_same_track_cannot_be_uploaded_twice():
    given(t.uploaded(), t.queued()).when(t.upload()).then_raises(Rejected, "track_exists")


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"title": "   "},
        {"title": "x" * 256},
        {"title": "a\x00b"},
        {"title": "a\x85b"},
        {"title": "a\u202eb"},
        {"title": "a\u200bb"},
        {"title": "a\u2028b"},
        {"title": "\u200d"},
        {"artist": "\u200c \u200d"},
        {"tags": ("\u200d",)},
        {"tags": ("a\ufeff",)},
        {"artist": "x" * 256},
        {"tags": tuple(str(n) for n in range(11))},
        {"tags": ("",)},
        {"preset": "polka"},
        {"priority": 11},
        {"bpm_hint": float("nan")},
        {"audio_sha256": "xyz"},
        {"surprise": 1},
    ],
)
def test_an_upload_with_wrong_fields_is_no_command(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        t.upload(**wrong)


@pytest.mark.parametrize("title", ["می\u200cخواهم", "👩\u200d👩\u200d👧", "क्\u200dष", "…", "é 愛"])
def test_a_title_may_be_of_any_script(title: str):
    assert t.upload(title=title).title == title


def test_an_empty_artist_takes_the_artist_away():
    assert c.DescribeTrack(track_id=t.TRACK, artist=" ").artist == ""


def test_the_longest_title_is_accepted():
    given().when(t.upload(title="x" * 255)).then(t.uploaded(title="x" * 255), t.queued())


def test_describing_records_only_what_changes():
    given(t.uploaded(), t.queued()).when(
        c.DescribeTrack(track_id=t.TRACK, title="Song", artist="Grace", tags=("x",))
    ).then(e.TrackDescribed(artist="Grace"))


def test_describing_a_track_as_it_is_changes_nothing():
    given(t.uploaded(), t.queued()).when(c.DescribeTrack(track_id=t.TRACK, title="Song")).then()


def test_an_empty_artist_removes_the_artist():
    removed = e.TrackDescribed(artist="")
    given(t.uploaded(), t.queued()).when(c.DescribeTrack(track_id=t.TRACK, artist="")).then(removed)
    assert given(t.uploaded(), t.queued(), removed).state.profile.artist is None


def test_a_track_nobody_uploaded_is_not_found():
    given().when(c.DescribeTrack(track_id=t.TRACK, title="New")).then_raises(NotFound)


def test_archiving_a_track_cancels_the_job_that_runs():
    given(t.uploaded(), t.queued()).when(c.ArchiveTrack(track_id=t.TRACK, reason="old")).then(
        t.abandoned(reason="cancelled", detail="the track was archived"), e.TrackArchived("old")
    )


def test_archiving_a_ready_track_is_one_event():
    given(t.uploaded(), t.queued(), t.started(), t.completed()).when(c.ArchiveTrack(track_id=t.TRACK)).then(
        e.TrackArchived(None)
    )


@pytest.mark.parametrize(
    "command",
    [
        c.DescribeTrack(track_id=t.TRACK, title="New"),
        c.ArchiveTrack(track_id=t.TRACK),
        c.RequestAnalysis(track_id=t.TRACK),
        t.complete(),
        t.override(2, edit="double"),
    ],
)
def test_an_archived_track_cannot_be_changed(command: c.TrackCommand):
    given(t.uploaded(), t.queued(), e.TrackArchived(None)).when(command).then_raises(
        Rejected, "track_archived"
    )
