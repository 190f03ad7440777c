"""All the API needs of the rest of the house; `app` puts it together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from api.security.guard import Accounts
from api.security.tokens import TokenVerifier
from commands.analysis.ports import JobQueue
from commands.pipeline import Pipeline
from commands.ports import Artefacts
from commands.references import References
from commands.upload import Uploads
from domain.log import EventStore
from projections.queries import Views


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may bring."""

    upload_bytes: int = 50_000_000
    uploads: int = 192
    """Uploads received at once."""


@dataclass(frozen=True, slots=True)
class Services:
    """The parts behind the routes. `incoming` is an existing folder on the disk the artefacts are on."""

    pipeline: Pipeline
    uploads: Uploads
    references: References
    views: Views
    events: EventStore
    jobs: JobQueue
    artefacts: Artefacts
    accounts: Accounts
    verifier: TokenVerifier
    incoming: Path
    limits: Limits = Limits()
    cors_origins: tuple[str, ...] = ()


def services_of(request: Request) -> Services:
    """Return the parts of the application that serves this request."""
    services: Services = request.app.state.services
    return services
