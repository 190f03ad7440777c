"""What every command is: validated, frozen, and bound to the roles that may issue it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

Role = Literal["producer", "operator", "viewer", "auditor", "admin", "device", "service"]


class Command(BaseModel):
    """Base of all commands: imperative, immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    roles: ClassVar[frozenset[Role]] = frozenset({"admin"})


def _printable(text: str) -> str:
    # A NUL cannot be shown as jsonb by the database, and no control character belongs in a name.
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ValueError("control characters are not allowed")
    return text


Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), AfterValidator(_printable)
]
"""One line of text, 1 to 255 characters."""

OptionalLine = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=255), AfterValidator(_printable)
]
"""One line of text, at most 255 characters, possibly empty."""

Tag = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(_printable)
]
