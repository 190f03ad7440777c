"""Tracks: lists, details, and the commands on one track that carry no file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Body, Query, Request
from pydantic import AfterValidator, Field
from starlette.responses import Response

from api.answers import command_answer
from api.circumstances import issue_of, wait_of
from api.conditional import representation
from api.names import names_of
from api.rest.bodies import AnalysisRequest, ArchiveRequest, TrackPatch
from api.rest.examples import ANALYSIS, ARCHIVE, PATCH
from api.rest.headers import VIEW
from api.rest.models import JobAccepted, Moved, TrackDetail, TrackPage, TrackStatus
from api.rest.operations import command, query
from api.rest.routing import TRACK_PATH, TrackId, guarded
from api.security.guard import producer, reader
from api.services import services_of
from domain.command import OptionalLine, Tag
from domain.errors import Invalid, NotFound
from domain.track.commands import ArchiveTrack, DescribeTrack, RequestAnalysis
from domain.track.events import Preset
from projections import queries
from projections.documents import Between, Condition, Contains, Differs, Equals, Has
from projections.view import Document, folded_text

router = guarded("tracks")

Bound = Annotated[float | None, Field(allow_inf_nan=False)]


def _query(description: str) -> Any:
    return Query(description=description)


Sort = Annotated[
    str,
    Query(
        pattern=r"^[ +-]?(created_at|title|bpm|f_measure)$",
        description="Field to sort by: `created_at`, `title`, `bpm` or `f_measure`; a minus in front sorts "
        "the highest first.",
    ),
    # A plus of a query string is a blank once it is decoded.
    AfterValidator(lambda sort: sort.lstrip(" +")),
]


class TrackFilter(msgspec.Struct, frozen=True):
    """Which tracks a list shows."""

    status: str | None
    preset: str | None
    tag: str | None
    bpm: tuple[float | None, float | None]
    f_measure: tuple[float | None, float | None]
    q: str | None

    def conditions(self) -> tuple[Condition, ...]:
        """Return what the documents must meet; archived tracks are listed when asked for only."""
        by_status = Equals("status", self.status) if self.status else Differs("status", "archived")
        found: list[Condition] = [by_status]
        if self.preset:
            found.append(Equals("preset", self.preset))
        if self.tag:
            found.append(Has("tags", self.tag))
        if self.bpm != (None, None):
            found.append(Between("bpm", *self.bpm))
        if self.f_measure != (None, None):
            found.append(Between("f_measure", *self.f_measure))
        if self.q:
            found.append(Contains("_search", folded_text(self.q)))
        return tuple(found)


@router.get(
    "/v1/tracks",
    response_model=TrackPage,
    **query(reader, *VIEW, refuses={410: ["cursor_gone"], 422: ["cursor"]}),
)
async def list_tracks(
    request: Request,
    status: Annotated[TrackStatus | None, _query("Only tracks of this status.")] = None,
    preset: Annotated[Preset | None, _query("Only tracks of this preset.")] = None,
    tag: Annotated[Tag | None, _query("Only tracks with this tag.")] = None,
    bpm_min: Annotated[Bound, _query("Lowest tempo, in beats per minute.")] = None,
    bpm_max: Annotated[Bound, _query("Highest tempo, in beats per minute.")] = None,
    f_measure_min: Annotated[Bound, _query("Lowest F-measure, 0 to 1.")] = None,
    f_measure_max: Annotated[Bound, _query("Highest F-measure, 0 to 1.")] = None,
    q: Annotated[OptionalLine | None, _query("Text in title or artist, in any case.")] = None,
    sort: Sort = "-created_at",
    limit: Annotated[
        int, Query(ge=1, le=queries.MAX_LIMIT, description="How many tracks a page has at most.")
    ] = 50,
    cursor: Annotated[
        str | None,
        Query(
            max_length=4096, description="`next_cursor` of the page before, with the same filter and order."
        ),
    ] = None,
) -> Response:
    """List tracks, a page at a time; archived tracks are listed only with `status=archived`."""
    wanted = TrackFilter(status, preset, tag, (bpm_min, bpm_max), (f_measure_min, f_measure_max), q)
    query = queries.Query(wanted.conditions(), sort.replace("title", "_title"), cursor, limit)
    page = await services_of(request).views.find("track_list", query, wait_of(request))
    return representation(request, msgspec.json.encode(page), age_s=await age_of(request, "track_list"))


@router.get(TRACK_PATH, response_model=TrackDetail, **query(reader, *VIEW))
async def get_track(request: Request, track_id: TrackId) -> Response:
    """Return one track with its current version, its latest job and its figures."""
    document = await track_document(request, track_id)
    current = document["current_version"]
    names = await names_of(services_of(request).accounts, [current["by"]] if current else [])
    detail = track_detail(document, names)
    body, age_s = msgspec.json.encode(detail), await age_of(request, "track_detail")
    return representation(request, body, document["revision"], age_s=age_s)


async def track_document(
    request: Request,
    track_id: UUID,
    view: str = "track_detail",
    lacks: Callable[[Document], bool] = lambda document: False,
) -> Document:
    """Return a track's document; a view that is behind gets a moment to bring what it `lacks`.

    Raises NotFound, ViewBehind.
    """
    document = await services_of(request).views.get(view, track_id, wait_of(request), lacks=lacks)
    if document is None:
        raise NotFound(f"there is no track {track_id}")
    return document


async def age_of(request: Request, view: str) -> float:
    """Return how far what was read from a view is behind the log, in seconds."""
    return await services_of(request).views.age_s(view)


def track_detail(document: Document, names: dict[str, str]) -> dict[str, Any]:
    """Return a track's detail: its document with people's names and the current version's figures."""
    current = document["current_version"]
    return {
        **document,
        "version": current and {"number": current["number"], "reason": current["reason"]},
        "current_version": current and named(current, names),
        "metrics": current and current["metrics"],
        "versions": {**document["versions"], "href": f"/v1/tracks/{document['track_id']}/versions"},
        "deployments": [],
    }


def named(version: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return a version with the name of who made it."""
    return {**version, "by_name": names.get(version["by"])}


@router.patch(
    TRACK_PATH,
    response_model=Moved,
    **command(producer, {409: ["track_archived"], 422: ["title_required"]}, must_match=True),
)
async def describe_track(
    request: Request, track_id: TrackId, body: Annotated[TrackPatch, Body(openapi_examples=PATCH)]
) -> Response:
    """Change title, artist or tags. Needs If-Match."""
    given: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if "title" in given and given["title"] is None:
        raise Invalid("title_required", "a track must have a title: send another one", "title")
    if "artist" in given:
        given["artist"] = given["artist"] or ""
    if "tags" in given:
        given["tags"] = given["tags"] or ()
    command = DescribeTrack(track_id=track_id, **given)
    issue = issue_of(request, match_required=True)
    return command_answer(await services_of(request).pipeline.execute(command, issue))


@router.post(TRACK_PATH + ":archive", response_model=Moved, **command(producer, {409: ["track_archived"]}))
async def archive_track(
    request: Request,
    track_id: TrackId,
    body: Annotated[ArchiveRequest | None, Body(openapi_examples=ARCHIVE)] = None,
) -> Response:
    """Archive a track for good: it leaves the lists, its history stays."""
    command = ArchiveTrack(track_id=track_id, reason=body.reason if body else None)
    return command_answer(await services_of(request).pipeline.execute(command, issue_of(request)))


@router.post(
    TRACK_PATH + "/analyses",
    response_model=JobAccepted,
    **command(producer, {409: ["track_archived", "analysis_running"]}, status=202, located=True),
)
async def request_analysis(
    request: Request,
    track_id: TrackId,
    body: Annotated[AnalysisRequest | None, Body(openapi_examples=ANALYSIS)] = None,
) -> Response:
    """Analyse the recording again; the result is a new version."""
    command = RequestAnalysis(track_id=track_id, **(body or AnalysisRequest()).model_dump())
    answer = await services_of(request).pipeline.execute(command, issue_of(request))
    return command_answer(answer, f"/v1/jobs/{answer.body['job_id']}")
