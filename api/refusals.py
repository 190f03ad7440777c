"""The refusals that only HTTP knows; those of the domain are in domain/errors.py."""

from __future__ import annotations

from collections.abc import Mapping

from domain.errors import LedgerError


class Unauthenticated(LedgerError):
    """There is no access token."""

    code = "unauthenticated"


class TokenUnknown(Unauthenticated):
    """The access token was never valid here."""


class TokenExpired(Unauthenticated):
    """The access token was valid once."""

    code = "token_expired"


class MatchRequired(LedgerError):
    """The route changes what somebody else may have changed meanwhile, and If-Match is missing."""

    code = "if_match_required"

    def __init__(self) -> None:
        super().__init__(
            "send If-Match with the ETag of your last read, so that no change is lost; `If-Match: *` changes "
            "the resource whatever its state is"
        )


class BodyTooLarge(LedgerError):
    """The body, or the file in it, is over the limit."""

    code = "too_large"


class UnsupportedMediaType(LedgerError):
    """The body is not of a type this route reads."""

    code = "unsupported_media_type"


class UnsupportedEncoding(UnsupportedMediaType):
    """The body has a Content-Encoding, which no route here reads."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"the body is encoded as {encoding!r}: send it without Content-Encoding")


class MalformedMultipart(LedgerError):
    """The multipart body breaks off or breaks its own rules."""

    code = "multipart_malformed"


class RangeNotSatisfiable(LedgerError):
    """The Range asked for lies outside the content, which has `size` bytes."""

    code = "range_not_satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"the content has {size} bytes: ask for a range inside it")
        self.size = size


class StorageFull(LedgerError):
    """The disk that takes uploads is full; nothing of this one was kept."""

    code = "storage_full"
    retry_after_s = 60.0

    def __init__(self) -> None:
        super().__init__("the server has no room for this upload: try again later, or tell its operator")


class NotReady(LedgerError):
    """The process can't serve yet, or no longer; `checks` says what is missing, by name."""

    code = "not_ready"
    retry_after_s = 1.0

    def __init__(self, checks: Mapping[str, str]) -> None:
        super().__init__(f"not ready: {', '.join(f'{name}: {text}' for name, text in checks.items())}")
        self.checks = checks
