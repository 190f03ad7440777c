"""Appends in Postgres' binary form, packed when they are queued, so that sending a batch only joins bytes.

The composite types are those of migrations/0001_event_store.sql. A row in binary form is its field count,
then type, length (-1: null) and bytes of each field; an array is a header, then length and bytes of each
element (`record_recv` and `array_recv` of Postgres). docs/adr/0003-group-commit.md compares the alternatives.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

import msgspec

from domain.log import CommandKey, Metadata, NewEvent, Slice

_BYTEA, _INT8, _INT4, _TEXT, _TIMESTAMPTZ, _UUID = 17, 20, 23, 25, 1184, 2950

_LENGTH = struct.Struct(">i")
_FIELD = struct.Struct(">ii")
_INT8_FIELD = struct.Struct(">iiq")
_INT4_FIELD = struct.Struct(">iii")
_EVENT_HEAD = struct.Struct(">iiiqii16siiqii16siii")
_CHECK_HEAD = struct.Struct(">iiiqii16s")
_KEY_HEAD = struct.Struct(">iiiqii16s")
_ARRAY_HEAD = struct.Struct(">iiIii")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

_NULL_INT8, _NULL_UUID = _FIELD.pack(_INT8, -1), _FIELD.pack(_UUID, -1)
_NULL_TEXT, _NULL_TIMESTAMPTZ = _FIELD.pack(_TEXT, -1), _FIELD.pack(_TIMESTAMPTZ, -1)
_UNTOLD = _NULL_TEXT * 2 + _NULL_UUID * 3 + _NULL_TEXT * 2


@dataclass(frozen=True, slots=True)
class PackedAppend:
    """One append as it is sent: elements of three arrays, and the data for its answer.

    `writes` are the streams it changes and its command id, `names` the streams it only asserts. Two appends
    share a batch unless one writes a stream that the other writes or names. `revision` is that of the answer.
    """

    ticket: int
    events: bytes
    event_count: int
    checks: bytes
    check_count: int
    key: bytes
    writes: frozenset[UUID]
    names: frozenset[UUID]
    revision: int
    fingerprint: bytes = b""
    not_after: datetime | None = None

    @property
    def size(self) -> int:
        """The append's size on the wire, in bytes."""
        return len(self.events) + len(self.checks) + len(self.key)


def pack_append(
    ticket: int,
    slices: Sequence[Slice],
    metadata: Metadata,
    command_key: CommandKey | None = None,
    not_after: datetime | None = None,
) -> PackedAppend:
    """Pack an append of the event store. Raises UnicodeEncodeError for a text with half a surrogate pair."""
    written = [slice_ for slice_ in slices if slice_.events]
    answering = slices[0]
    revision = answering.expected + len(answering.events)
    told = _metadata(metadata)
    limit = _NULL_TIMESTAMPTZ if not_after is None else _timestamptz(not_after)
    writes = {slice_.stream for slice_ in written}
    key = b""
    if command_key is not None:
        writes.add(command_key.command_id)
        # Without events the answer names the stream's last event, from which the caller gets the shard.
        key = _key(ticket, command_key, written[-1] if written else answering, revision)
    return PackedAppend(
        ticket=ticket,
        events=b"".join([event for slice_ in written for event in _slice_events(ticket, slice_, told)]),
        event_count=sum([len(slice_.events) for slice_ in written]),
        checks=b"".join([_slice_check(ticket, slice_, limit) for slice_ in slices]),
        check_count=len(slices),
        key=key,
        writes=frozenset(writes),
        names=frozenset([slice_.stream for slice_ in slices if not slice_.events]),
        revision=revision,
        fingerprint=command_key.fingerprint if command_key else b"",
        not_after=not_after,
    )


def pack_unchecked(ticket: int, events: Sequence[tuple[UUID, int, NewEvent]]) -> PackedAppend:
    """Pack events with given (stream, revision), which only must be unique: the library's insert_events."""
    checks = list(_unchecked_runs(ticket, events))
    return PackedAppend(
        ticket=ticket,
        events=b"".join(
            [_event(ticket, stream, revision, event, _UNTOLD) for stream, revision, event in events]
        ),
        event_count=len(events),
        checks=b"".join(checks),
        check_count=len(checks),
        key=b"",
        writes=frozenset([stream for stream, _, _ in events]),
        names=frozenset(),
        revision=events[-1][1],
    )


def pack_array(element_type: int, count: int, elements: Sequence[bytes]) -> bytes:
    """Return a one-dimensional array of `count` packed elements of the type with this oid."""
    return b"".join((_ARRAY_HEAD.pack(1, 0, element_type, count, 1), *elements))


def _slice_events(ticket: int, slice_: Slice, told: bytes) -> list[bytes]:
    rest = _text(slice_.category) + _text(slice_.partition_key) + told
    stream, first = slice_.stream, slice_.expected + 1
    return [
        _event(ticket, stream, revision, event, rest) for revision, event in enumerate(slice_.events, first)
    ]


def _event(ticket: int, stream: UUID, revision: int, event: NewEvent, rest: bytes) -> bytes:
    # fmt: off
    head = _EVENT_HEAD.pack(
        14, _INT8, 8, ticket, _UUID, 16, stream.bytes, _INT8, 8, revision, _UUID, 16, event.event_id.bytes,
        _INT4, 4, event.schema_version,
    )
    # fmt: on
    return _row(head, _known_text(event.type), _bytea(event.data), rest)


def _slice_check(ticket: int, slice_: Slice, limit: bytes) -> bytes:
    expected = slice_.expected
    own = slice_.events[0].event_id if slice_.events else None
    return _check(
        ticket, slice_.stream, _int8(expected), expected + 1, expected + len(slice_.events), own, limit
    )


def _unchecked_runs(ticket: int, events: Sequence[tuple[UUID, int, NewEvent]]) -> Iterator[bytes]:
    """Yield a check for each run of consecutive events in one stream."""
    first = 0
    for index in range(1, len(events) + 1):
        stream, revision, event = events[first]
        length = index - first
        if index == len(events) or events[index][:2] != (stream, revision + length):
            last = revision + length - 1
            yield _check(ticket, stream, _NULL_INT8, revision, last, event.event_id, _NULL_TIMESTAMPTZ)
            first = index


def _check(
    ticket: int, stream: UUID, expected: bytes, first: int, last: int, own: UUID | None, limit: bytes
) -> bytes:
    head = _CHECK_HEAD.pack(7, _INT8, 8, ticket, _UUID, 16, stream.bytes)
    return _row(head, expected, _int8(first), _int8(last), _uuid(own), limit)


def _key(ticket: int, key: CommandKey, last: Slice, revision: int) -> bytes:
    head = _KEY_HEAD.pack(8, _INT8, 8, ticket, _UUID, 16, key.command_id.bytes)
    last_stream = _uuid(last.stream)
    last_revision = _int8(last.expected + len(last.events))
    status = _INT4_FIELD.pack(_INT4, 4, key.status)
    body = _bytea(msgspec.json.encode(key.body))
    return _row(head, last_stream, last_revision, _int8(revision), status, _bytea(key.fingerprint), body)


def _metadata(metadata: Metadata) -> bytes:
    return b"".join(
        (
            _uuid(metadata.command_id),
            _uuid(metadata.correlation_id),
            _uuid(metadata.causation_id),
            _text(metadata.actor),
            _NULL_TEXT if metadata.traceparent is None else _text(metadata.traceparent),
        )
    )


def _row(*fields: bytes) -> bytes:
    row = b"".join(fields)
    return _LENGTH.pack(len(row)) + row


def _int8(value: int) -> bytes:
    return _INT8_FIELD.pack(_INT8, 8, value)


def _uuid(value: UUID | None) -> bytes:
    return _NULL_UUID if value is None else _FIELD.pack(_UUID, 16) + value.bytes


def _bytea(value: bytes) -> bytes:
    return _FIELD.pack(_BYTEA, len(value)) + value


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _FIELD.pack(_TEXT, len(encoded)) + encoded


_known_text = lru_cache(maxsize=1024)(_text)


def _timestamptz(value: datetime) -> bytes:
    return _INT8_FIELD.pack(_TIMESTAMPTZ, 8, (value - _EPOCH) // timedelta(microseconds=1))
