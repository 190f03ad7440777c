"""Converts events to Kafka records and back: CloudEvents 1.0, binary mode of the Kafka protocol binding.

The value is the event's JSON as it was recorded, the key its partition key; attributes are headers `ce_NAME`
in UTF-8. Attributes beyond the specification are extensions, named in its alphabet [a-z0-9]. No field of
Recorded is lost: `recorded_of` returns the event as the event store does.

Between the events there are markers: records with the header `beatledger_reached` and no `ce_` header. The
header names the position up to which the log has been sent to this partition, `beatledger_event` the id of
the event at that position, which identifies the history. **Foreign consumers skip records without
`ce_specversion`.** Markers tell a reader of a quiet partition how far the log is. They are few and small,
and all have the same key and a non-null value, so retention and compaction treat them as any other record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.recorded import Recorded

Headers = list[tuple[str, bytes]]
Row = tuple[
    int, UUID, int, str, str, UUID, str, int, bytes, datetime, str, UUID, UUID | None, UUID, str | None
]
"""The columns of Recorded, in its order, `data` still as bytes."""

MARKER: Final = "beatledger_reached"
MARKED_EVENT: Final = "beatledger_event"
MARKER_KEY: Final = b"beatledger_reached"
MARKER_VALUE: Final = b"{}"

_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A position of the log, and the id of the event there, None if it is unknown."""

    position: int
    event_id: UUID | None


def headers_of(row: Row, source: str) -> Headers:
    """Return the headers of an event; `source` names the installation, a URI reference."""
    position, stream, revision, category, _, event_id, type_, schema_version, _, at, actor = row[:11]
    correlation_id, causation_id, command_id, traceparent = row[11:]
    headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event_id).encode()),
        ("ce_source", source.encode()),
        ("ce_type", type_.encode()),
        ("ce_subject", str(stream).encode()),
        ("ce_time", _time(at).encode()),
        ("ce_schemaversion", b"%d" % schema_version),
        ("ce_position", b"%d" % position),
        ("ce_revision", b"%d" % revision),
        ("ce_category", category.encode()),
        ("ce_actor", actor.encode()),
        ("ce_commandid", str(command_id).encode()),
        ("ce_correlationid", str(correlation_id).encode()),
    ]
    if causation_id is not None:
        headers.append(("ce_causationid", str(causation_id).encode()))
    if traceparent is not None:
        headers.append(("ce_traceparent", traceparent.encode()))
    return headers


def recorded_of(key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> Recorded:
    """Return the event of a record that `headers_of` made."""
    given = {name: content.decode() for name, content in headers}
    causation_id = given.get("ce_causationid")
    return Recorded(
        position=int(given["ce_position"]),
        stream=UUID(given["ce_subject"]),
        revision=int(given["ce_revision"]),
        category=given["ce_category"],
        partition_key=key.decode(),
        event_id=UUID(given["ce_id"]),
        type=given["ce_type"],
        schema_version=int(given["ce_schemaversion"]),
        data=_decode(value),
        recorded_at=datetime.fromisoformat(given["ce_time"]),
        actor=given["ce_actor"],
        correlation_id=UUID(given["ce_correlationid"]),
        causation_id=UUID(causation_id) if causation_id else None,
        command_id=UUID(given["ce_commandid"]),
        traceparent=given.get("ce_traceparent"),
    )


def category_of(headers: Sequence[tuple[str, bytes]]) -> str | None:
    """Return an event's category; None for a marker."""
    return next((content.decode() for name, content in headers if name == "ce_category"), None)


def marker_headers(at: LogPosition) -> Headers:
    """Return the headers of the marker for everything up to `at`."""
    return [(MARKER, b"%d" % at.position), (MARKED_EVENT, str(at.event_id).encode())]


def position_of(headers: Sequence[tuple[str, bytes]]) -> int:
    """Return the log position of this record, an event or a marker; 0 for foreign records."""
    return next((int(content) for name, content in headers if name in ("ce_position", MARKER)), 0)


def log_position_of(headers: Sequence[tuple[str, bytes]]) -> LogPosition:
    """Return the log position of this record and the id of the event there."""
    id = next((content.decode() for name, content in headers if name in ("ce_id", MARKED_EVENT)), None)
    return LogPosition(position_of(headers), UUID(id) if id else None)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"
