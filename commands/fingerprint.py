"""The fingerprint that tells whether two requests under one idempotency key are the same."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256

from rfc8785 import CanonicalizationError

from analysis.canonical import canonical
from domain.command import Command
from domain.errors import Invalid


def fingerprint(command: Command, incidental: Collection[str] = ()) -> bytes:
    """Return the SHA-256 of the command's name and its canonical JSON (RFC 8785) without `incidental` fields.

    Raises Invalid for a number that canonical JSON cannot hold exactly (an integer beyond 2^53).
    """
    asked = command.model_dump(mode="json", exclude=set(incidental))
    try:
        return sha256(canonical([type(command).__name__, asked])).digest()
    except CanonicalizationError as error:
        raise Invalid("number_too_large", f"{error}: numbers up to 2^53 are possible") from error
