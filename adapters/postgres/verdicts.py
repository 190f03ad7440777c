"""Translates the database's verdicts on a batch into the answer of each caller."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from adapters.postgres.append_call import Flushed
from adapters.postgres.batch_format import PackedAppend
from adapters.postgres.pending_append import Outcome
from domain.errors import EventTooLarge, Expired, Invalid, KeyReused, RevisionConflict
from domain.log import Appended, StoredAnswer


def outcomes(batch: Sequence[PackedAppend], flushed: Flushed) -> Iterator[Outcome]:
    """Yield the answer to each append of a batch, in its order."""
    refused = {verdict["ticket"]: verdict for verdict in flushed.refused}
    position = flushed.base
    for append in batch:
        if (verdict := refused.get(append.ticket)) is not None:
            yield _refusal(append, verdict)
        elif append.event_count:
            position += append.event_count
            yield Appended(position, append.revision, flushed.recorded_at)
        else:
            yield Appended(flushed.base, append.revision, None)


def culprit(error: psycopg.Error) -> Exception:
    """Return the error for an append, sent alone, that the database can't store."""
    answer: Exception
    match error:
        case psycopg.errors.UniqueViolation():
            answer = Invalid("duplicate_revision", "the append names the same revision of a stream twice")
        case psycopg.errors.ProgramLimitExceeded():
            answer = EventTooLarge("a text of the event's metadata is too long for the log's indexes")
        case psycopg.DataError():
            answer = Invalid("unstorable", f"the log can't store this: {error.diag.message_primary}")
        case _:
            return error
    answer.__cause__ = error
    return answer


def _refusal(append: PackedAppend, verdict: dict[str, Any]) -> Outcome:
    match verdict["verdict"]:
        case "own":
            recorded_at = datetime.fromisoformat(verdict["recorded_at"])
            return Appended(verdict["position"], append.revision, recorded_at)
        case "repeated":
            position, revision = verdict["position"], verdict["revision"]
            body = msgspec.json.decode(b64decode(verdict["body"]))
            answer = StoredAnswer(append.fingerprint, verdict["status"], body, revision, position)
            return Appended(position, revision, None, answer)
        case "reused":
            return KeyReused()
        case "expired" if append.not_after is not None:
            return Expired(append.not_after)
        case "conflict":
            return RevisionConflict(UUID(verdict["stream"]), verdict["expected"] or 0, verdict["actual"])
        case unknown:
            return RuntimeError(f"append_events() returned the unknown verdict {unknown}")
