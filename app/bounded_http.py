"""Uvicorn's fast HTTP parser with the one limit it lacks: how long a request's header may be."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 65_536

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Type: text/plain\r\nConnection: close\r\n\r\nthe header has more than 65536 bytes\n"
)


class BoundedHttpProtocol(HttpToolsProtocol):
    """Ends a connection whose header does not end: 150 MB of one were taken, and starved all others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_bytes: int | None = None

    def data_received(self, data: bytes) -> None:
        """Count while a header is under way."""
        if self._header_bytes is not None:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A header begins."""
        self._header_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """It has ended."""
        self._header_bytes = None
        super().on_headers_complete()
