"""Lets in who may come in: authentication before anything of the body is read, roles per route."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Coroutine
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import Request, Security
from fastapi.params import Security as SecurityParameter
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Message, Receive

from api.refusals import Unauthenticated, UnsupportedEncoding, UnsupportedMediaType
from api.security.principal import AUDITORS, PRODUCERS, READERS, PersonRole, Principal
from api.security.tokens import TokenVerifier
from domain.errors import Forbidden

MAX_JSON_BYTES = 2_000_000
_MAX_SEEN = 10_000
_JSON = re.compile(r"application/(?:[^/]+\+)?json")


class Accounts(Protocol):
    """The one place where a person's name stands; events know account ids only."""

    async def remember(self, account_id: UUID, name: str) -> None:
        """Note the name of an account seen for the first time; a known or erased one stays as it is."""
        ...

    async def names(self, account_ids: Collection[UUID]) -> dict[UUID, str]:
        """Return the names of those accounts that are known and not erased."""
        ...


class Authenticator:
    """Tells who sent a request, and notes each account once."""

    def __init__(self, verifier: TokenVerifier, accounts: Accounts) -> None:
        self._verifier = verifier
        self._accounts = accounts
        self._seen: set[UUID] = set()

    async def authenticate(self, request: Request) -> Principal:
        """Return who sent it. Raises Unauthenticated, TokenExpired, Unavailable."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("send an access token: `Authorization: Bearer …`")
        person = self._verifier.verify(token.strip())
        if person.account_id not in self._seen:
            await self._accounts.remember(person.account_id, person.name)
            if len(self._seen) >= _MAX_SEEN:
                self._seen.clear()
            self._seen.add(person.account_id)
        return person


class GuardedRoute(APIRoute):
    """A route that knows its caller before it reads the body, and reads no endless JSON and nothing else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with the guard before it."""
        handler = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            authenticator: Authenticator = request.app.state.authenticator
            request.state.principal = await authenticator.authenticate(request)
            _check_encoding(request)
            if self.body_field is not None:
                _check_json(request)
                request = Request(request.scope, limited(request.receive, MAX_JSON_BYTES))
            return await handler(request)

        return guarded


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _check_encoding(request: Request) -> None:
    """Raise UnsupportedEncoding for a body that was compressed: its size says nothing of its content's."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "") and _has_body(request):
        raise UnsupportedEncoding(encoding)


def _check_json(request: Request) -> None:
    """Raise UnsupportedMediaType for a body of another type: FastAPI would take it for a wrong JSON text."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if _has_body(request) and not _JSON.fullmatch(media_type):
        raise UnsupportedMediaType("send Content-Type: application/json, and JSON as the body")


def limited(receive: Receive, limit: int) -> Receive:
    """Return the body's messages up to `limit` bytes. Raises HTTPException 413 beyond it."""
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            # FastAPI lets this class alone through from its reading of the body.
            raise HTTPException(413)
        return message

    return receive_limited


_bearer = HTTPBearer(auto_error=False, description="An access token of `beatledger token`, or of a sign-in.")


def allow(roles: frozenset[PersonRole]) -> SecurityParameter:
    """Return the dependency of a route that callers of these roles may use."""

    async def check(request: Request, _: Annotated[Any, Security(_bearer)]) -> Principal:
        principal: Principal = request.state.principal
        if not principal.roles & roles:
            raise Forbidden(f"this needs one of the roles {', '.join(sorted(roles))}")
        return principal

    # The scopes are the roles that OpenAPI lists for the operation.
    return SecurityParameter(check, scopes=sorted(roles))


reader = allow(READERS)
producer = allow(PRODUCERS)
auditor = allow(AUDITORS)
