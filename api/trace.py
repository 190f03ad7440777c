"""Gives every request its trace: the trace id of its answer, its events, its log lines and its problems.

Pure ASGI, because Starlette's BaseHTTPMiddleware runs the application in another context.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problem import stopping, unexpected

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?"
)
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Trace:
    """`traceparent` is what this request's events carry: the caller's trace, with a span of our own."""

    trace_id: str
    traceparent: str
    request_id: str


def trace_of(headers: Headers) -> Trace:
    """Return the trace that the caller began (W3C Trace Context), or a new one."""
    given = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    trace_id, flags = given.group(1, 2) if given else (secrets.token_hex(16), "00")
    request_id = headers.get("x-request-id", "")
    return Trace(
        trace_id=trace_id,
        traceparent=f"00-{trace_id}-{secrets.token_hex(8)}-{flags}",
        request_id=request_id if _REQUEST_ID.fullmatch(request_id) else trace_id,
    )


def current_trace(request: Request) -> Trace:
    """Return the trace of a request that came through the middleware."""
    trace: Trace = request.state.trace
    return trace


class TraceMiddleware:
    """Traces requests, and turns what nobody expected into a problem that shows nothing of the inside."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = trace_of(Headers(scope=scope))
        scope.setdefault("state", {})["trace"] = trace
        started = False

        async def traced_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["trace-id"] = trace.trace_id
                headers["x-request-id"] = trace.request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(trace_id=trace.trace_id):
            try:
                await self._app(scope, receive, traced_send)
            except ClientDisconnect:
                _log.info("client_gone", path=scope["path"])
            except asyncio.CancelledError:
                # Only a server that stops cancels a request. It would log what is raised on as a crash.
                _log.info("request_cut_off", method=scope["method"], path=scope["path"])
                if not started:
                    await stopping(trace.trace_id)(scope, receive, traced_send)
            except Exception:
                _log.exception("unexpected_error", method=scope["method"], path=scope["path"])
                if started:
                    raise
                await unexpected(trace.trace_id)(scope, receive, traced_send)
