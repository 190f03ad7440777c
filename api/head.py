"""Answers HEAD wherever GET is answered: the same headers, and no body (RFC 9110, 9.3.2).

FastAPI has no HEAD for its GET routes, and as routes of their own all would stand in the OpenAPI twice.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _Answered(Exception):
    """The headers are out: nothing more of the answer need be made."""


class HeadMiddleware:
    """Asks the application for GET and passes on the headers of what it answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def headers_only(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            # A stream's first piece: the others would be read for nobody.
            if message.get("more_body"):
                raise _Answered

        try:
            await self._app({**scope, "method": "GET"}, receive, headers_only)
        except _Answered:
            return
