"""The base of every command: validated, frozen, and bound to the roles that may issue it."""

from __future__ import annotations

import unicodedata
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

Role = Literal["producer", "operator", "viewer", "auditor", "admin", "device", "service"]


class Command(BaseModel):
    """Base of all commands: imperative, immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    roles: ClassVar[frozenset[Role]] = frozenset({"admin"})


_HIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
_JOINERS = "\u200c\u200d"
"""Persian, Hindi and family emoji need these characters."""


def printable(text: str) -> str:
    """Return the text. Raises ValueError for text with hidden characters or without visible ones."""
    # jsonb can't store NUL; characters that turn or hide text make two names look alike.
    if any(unicodedata.category(c) in _HIDDEN and c not in _JOINERS for c in text):
        raise ValueError("must not contain control or invisible characters")
    if text and not any(unicodedata.category(c)[0] in "LNPS" for c in text):
        raise ValueError("must contain a visible character")
    return text


Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), AfterValidator(printable)
]
"""One line of text, 1 to 255 characters."""

OptionalLine = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=255), AfterValidator(printable)
]
"""One line of text, at most 255 characters, possibly empty."""

Tag = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(printable)
]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
