"""A push parser of multipart/form-data (RFC 7578) that never holds the file.

Starlette's `request.form()` spools the whole body before anything can refuse it. Here every chunk from the
socket becomes fields kept in memory (small, few) and pieces of the one file, which the caller writes away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


from api.refusals import BodyTooLarge, MalformedMultipart, UnsupportedMediaType
from domain.errors import Invalid

MAX_PARTS = 64
MAX_FIELD_BYTES = 8192
MAX_PREAMBLE_BYTES = 8192
FILE = "file"


@dataclass(slots=True)
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    name: str = ""
    is_file: bool = False
    content: bytearray = field(default_factory=bytearray)


class _Preamble:
    """Drops the text that a body may have before its first boundary (RFC 2046, 5.1.1).

    The parser takes no such text; some mail-derived clients send one.
    """

    def __init__(self, boundary: bytes) -> None:
        self._line = b"\r\n--" + boundary
        # The body's start counts as the start of a line.
        self._held = b"\r\n"
        self._ended = False

    def dropped_from(self, chunk: bytes) -> bytes:
        """Return what of the chunk belongs to the form. Raises MalformedMultipart for an endless preamble."""
        if self._ended:
            return chunk
        self._held += chunk
        start = self._held.find(self._line)
        if start >= 0:
            self._ended = True
            return self._held[start + 2 :]
        if len(self._held) > MAX_PREAMBLE_BYTES:
            raise MalformedMultipart("the body does not begin with the boundary that its Content-Type names")
        return b""


class MultipartForm:
    """One body on its way in: feed it chunks, write away the file's pieces, then read `fields`.

    `fields` are (name, value) in the order they came; `filename`, as it was sent, is None until a file began.
    """

    def __init__(self, content_type: str | None) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            raise UnsupportedMediaType("send multipart/form-data with the file in the part `file`")
        if not options.get(b"boundary"):
            raise MalformedMultipart("the Content-Type names no boundary")
        self.fields: list[tuple[str, str]] = []
        self.filename: str | None = None
        self._part = _Part()
        self._parts = 0
        self._header_name = b""
        self._header_value = b""
        self._pieces: list[bytes] = []
        self._ended = False
        self._preamble = _Preamble(options[b"boundary"])
        try:
            self._parser = MultipartParser(options[b"boundary"], self._callbacks())
        except FormParserError as error:
            raise MalformedMultipart(f"the boundary can't be used: {error}") from error

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take in the next chunk and yield what of it belongs to the file.

        Raises MalformedMultipart, BodyTooLarge (too many or too long fields) or Invalid (a wrong part).
        """
        try:
            self._parser.write(self._preamble.dropped_from(chunk))
        except FormParserError as error:
            raise MalformedMultipart(f"the multipart body can't be read: {error}") from error
        pieces, self._pieces = self._pieces, []
        return iter(pieces)

    def finish(self) -> str:
        """Return the file's name once the body has ended. Raises MalformedMultipart, Invalid (no file)."""
        if not self._ended:
            raise MalformedMultipart(
                "the multipart body breaks off before its closing boundary: send it again"
            )
        if self.filename is None:
            raise Invalid("file_missing", "send the file in a part named `file`, with a filename", FILE)
        return self.filename

    def _callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BodyTooLarge(f"a form may have at most {MAX_PARTS} parts")
        self._part = _Part()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._part.headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        disposition = self._part.headers.get(b"content-disposition", b"").decode("utf-8", "replace")
        # The parser's own reader of options speaks latin-1, browsers and curl send UTF-8 names.
        kind, options = parse_options_header(disposition.encode().decode("latin-1"))
        if kind != b"form-data" or not options.get(b"name"):
            raise MalformedMultipart("every part needs `Content-Disposition: form-data` and a name")
        self._part.name = options[b"name"].decode("utf-8", "replace")
        filename = options.get(b"filename")
        if filename is None:
            filename = _extended_filename(disposition)
        self._part.is_file = filename is not None
        if filename is not None:
            self._begin_file(filename.decode("utf-8", "replace"))
        elif self._part.name == FILE:
            # Told now, before its content is measured as a field's.
            raise Invalid("file_missing", "the part `file` must be a file: give it a filename", FILE)

    def _begin_file(self, filename: str) -> None:
        if self._part.name != FILE:
            raise Invalid("unexpected_file", "only the part `file` may be a file", self._part.name)
        if self.filename is not None:
            raise Invalid("one_file_only", "send exactly one file", FILE)
        self.filename = filename

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part.is_file:
            self._pieces.append(data[start:end])
            return
        part.content += data[start:end]
        if len(part.content) > MAX_FIELD_BYTES:
            raise BodyTooLarge(f"the field {part.name} has more than {MAX_FIELD_BYTES} bytes")

    def _on_part_end(self) -> None:
        part = self._part
        if part.is_file:
            return
        try:
            self.fields.append((part.name, part.content.decode()))
        except UnicodeDecodeError as error:
            raise Invalid("not_utf8", "send the form's fields in UTF-8", part.name) from error

    def _on_end(self) -> None:
        self._ended = True


def _extended_filename(disposition: str) -> bytes | None:
    """Return the bytes of `filename*` (RFC 8187), which some clients send alone; the parser ignores it."""
    message = Message()
    message["Content-Disposition"] = disposition
    value = message.get_param("filename", header="Content-Disposition")
    # (charset, language, percent-decoded bytes as latin-1); RFC 8187 leaves UTF-8 as the one charset.
    return value[2].encode("latin-1", "replace") if isinstance(value, tuple) else None
