"""The errors of the product, each with a stable code; `api/problem.py` maps them to HTTP."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import ClassVar
from uuid import UUID


class LedgerError(Exception):
    """Base of all errors. `code` is stable (docs/errors.md); the text names the cause and the remedy."""

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotFound(LedgerError):
    """The thing named does not exist."""

    code = "not_found"


class Rejected(LedgerError):
    """A rule of the domain forbids this command in the current state; `rule` names it."""

    code = "rejected"

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.rule = rule


class Invalid(LedgerError):
    """The command's content is wrong in any state; `field` is a path such as `beats_ms[3]`."""

    code = "invalid"

    def __init__(self, rule: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.rule = rule
        self.field = field


class Forbidden(LedgerError):
    """The caller's roles do not allow this command."""

    code = "forbidden"


class RevisionConflict(LedgerError):
    """A stream is not at the revision that the append expected."""

    code = "revision_conflict"

    def __init__(self, stream: UUID, expected: int, actual: int) -> None:
        super().__init__(f"stream {stream} is at revision {actual}, not {expected}: read it again")
        self.stream = stream
        self.expected = expected
        self.actual = actual


class Stale(LedgerError):
    """The client's If-Match does not name the current revision; `expected` holds those it names."""

    code = "stale_revision"

    def __init__(self, expected: Collection[int], actual: int) -> None:
        named = ", ".join(map(str, sorted(expected))) or "no revision"
        super().__init__(f"the resource is at revision {actual}, If-Match names {named}: read it again")
        self.expected = expected
        self.actual = actual


class Expired(LedgerError):
    """The append reached the database after its `not_after`, or while its clock was behind the log."""

    code = "expired"

    def __init__(self, not_after: datetime) -> None:
        super().__init__(
            f"not recorded: the time limit {not_after.isoformat()} had passed, or the database's clock "
            "is behind the log (/readyz says so), so that it cannot tell"
        )
        self.not_after = not_after


class KeyReused(LedgerError):
    """An idempotency key came again with a different request."""

    code = "key_reused"

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request: use a new key")


class EventTooLarge(LedgerError):
    """An event or an append exceeds the limits of the log."""

    code = "event_too_large"


class Busy(LedgerError):
    """A queue is full; nothing was written. Try again after `retry_after_s`."""

    code = "busy"
    retry_after_s: float = 1.0


class Unavailable(LedgerError):
    """A store is unreachable; a command may or may not be written. Retry with the same key."""

    code = "unavailable"
    retry_after_s: float = 1.0


class UnknownEvent(LedgerError):
    """An event's name or schema version is unknown to this code: a newer writer, or a corrupted log."""

    code = "unknown_event"


class CursorGone(LedgerError):
    """A cursor belongs to an older generation of a view: start without a cursor."""

    code = "cursor_gone"


class ViewBehind(LedgerError):
    """`Prefer: wait` ran out before the view reached the position of the Consistency-Token."""

    code = "view_behind"
    retry_after_s: float = 1.0

    def __init__(self, view: str, wanted: int, reached: int, parked: Sequence[str] = ()) -> None:
        parked_text = f"; parked streams: {', '.join(parked)}" if parked else ""
        super().__init__(f"view {view} has reached position {reached}, not yet {wanted}{parked_text}")
        self.view = view
        self.wanted = wanted
        self.reached = reached
