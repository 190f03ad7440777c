"""The shapes of REST answers, a file for each resource."""

from api.rest.models.health import Health
from api.rest.models.history import ChangeShape, DiffShape, EventPage, EventShape, StateShape
from api.rest.models.jobs import JobAccepted, JobList, JobShape
from api.rest.models.shape import Moved
from api.rest.models.tracks import TrackDetail, TrackPage, TrackRow, TrackStatus, UploadAccepted, VersionName
from api.rest.models.versions import (
    BeatsShape,
    ManifestFile,
    VersionAccepted,
    VersionCount,
    VersionPage,
    VersionShape,
)

__all__ = [
    "BeatsShape",
    "ChangeShape",
    "DiffShape",
    "EventPage",
    "EventShape",
    "Health",
    "JobAccepted",
    "JobList",
    "JobShape",
    "ManifestFile",
    "Moved",
    "StateShape",
    "TrackDetail",
    "TrackPage",
    "TrackRow",
    "TrackStatus",
    "UploadAccepted",
    "VersionAccepted",
    "VersionCount",
    "VersionName",
    "VersionPage",
    "VersionShape",
]
