"""Uvicorn's fast HTTP parser with the limits it lacks: bytes of a header, waiting, rates and places."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.connections import Places

MAX_HEADER_BYTES = 65_536


class BoundedHttpProtocol(HttpToolsProtocol):
    """Ends a connection whose header does not end, whose body stalls, or whose answer nobody reads."""

    def __init__(self, places: Places, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = places
        self._limits = places.limits
        self._in_header = False
        self._header_bytes = 0
        self._messages = 0
        self._refused = False
        self._body_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        """Return the client's address, without its port."""
        return self.client[0] if self.client else ""

    def drop(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, and wait for a header."""
        super().connection_made(transport)
        if self._places.take(self):
            self._await_header()
        else:
            self._refused = True
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the place."""
        self._places.leave(self)
        for timer in (self._header_timer, self._body_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a header that is under way before and after them."""
        if self._refused:
            return
        message, was_in_header = self._messages, self._in_header
        counted = self._header_bytes
        super().data_received(data)
        if self._in_header and was_in_header and message == self._messages:
            # Also what no callback has seen yet: the parser gives a field when it is complete.
            self._header_bytes = counted + len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if self._is_idle():  # bytes before a header, which have ended uvicorn's own limit of idleness
            self._await_header()

    def on_message_begin(self) -> None:
        """A header begins."""
        self._messages += 1
        self._in_header, self._header_bytes = True, 0
        self._await_header()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count it."""
        self._header_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count it."""
        self._header_bytes += len(name) + len(value) + 4
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The header has ended, and the body begins."""
        self._in_header = False
        self._places.waits(self, waiting=False)
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if self._refused:
            return
        super().on_headers_complete()
        self._body_bytes = 0
        self._watch_body(self.loop.time() + self._limits.body_s)

    def on_body(self, body: bytes) -> None:
        """Count it."""
        self._body_bytes += len(body)
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body has ended."""
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        if not self._refused:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The connection is idle now, and may be ended when another needs its place."""
        super().on_response_complete()
        if self._is_idle() and not self.transport.is_closing():
            self._places.waits(self, waiting=True)

    def pause_writing(self) -> None:
        """Nobody reads the answer: for how long?"""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._limits.body_window_s, self.drop)

    def resume_writing(self) -> None:
        """It is read."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def _is_idle(self) -> bool:
        return (
            not self._in_header
            and self._body_timer is None
            and (not self.cycle or self.cycle.response_complete)
        )

    def _await_header(self) -> None:
        if not self.cycle or self.cycle.response_complete:
            self._places.waits(self, waiting=True)
        if self._header_timer is None and not self.transport.is_closing():
            self._header_timer = self.loop.call_later(
                self._limits.header_s, self._refuse, HTTPStatus.REQUEST_TIMEOUT
            )

    def _watch_body(self, ends_at: float) -> None:
        self._body_timer = self.loop.call_later(
            self._limits.body_window_s, self._check_body, self._body_bytes, ends_at
        )

    def _check_body(self, bytes_before: int, ends_at: float) -> None:
        expected = self._limits.body_bytes_per_s * self._limits.body_window_s
        ours = self.flow.read_paused or self.cycle.waiting_for_100_continue  # the client may not send
        if self.loop.time() >= ends_at or (not ours and self._body_bytes - bytes_before < expected):
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self._watch_body(ends_at)

    def _refuse(self, status: HTTPStatus) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        # An answer in the midst of another one would be taken for a part of it.
        if not self.cycle or self.cycle.response_complete or not self.cycle.response_started:
            head = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            self.transport.write(head.encode())
        self.transport.close()
